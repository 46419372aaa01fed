"""The health check of the container: `python -P -m deployments.one_machine.healthcheck [URL]`.

Exit code 0 if the URL answers 200. Without a URL it is `/healthz` of this machine's `up` or `server`. An image without
curl needs it, and it starts in a twentieth of a second because it imports nothing of Prefect.
"""

from __future__ import annotations

import ssl
import sys
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, OpenerDirector, ProxyHandler, build_opener

from blocks import settings

SECONDS = 5.0
ANSWER_MAX = 2000
HEALTHY, UNHEALTHY = 0, 1


def check(url: str) -> tuple[int, str]:
    """The exit code, and the answer or the error in words."""
    try:
        with _opener().open(url, timeout=SECONDS) as answer:
            return HEALTHY, answer.read(ANSWER_MAX).decode(errors="replace")
    except HTTPError as error:
        return UNHEALTHY, f"{error.code} {error.read(ANSWER_MAX).decode(errors='replace')}"
    except (OSError, ValueError, HTTPException) as error:
        return UNHEALTHY, f"{url} does not answer: {error}"


def _opener() -> OpenerDirector:
    # No proxy: it could not reach this machine. The certificate is not checked, because it is for another name than
    # that of loopback, and nothing secret is sent.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return build_opener(ProxyHandler({}), HTTPSHandler(context=context))


def main() -> int:
    """Check the URL of the first argument."""
    url = sys.argv[1] if len(sys.argv) > 1 else f"http://127.0.0.1:{settings.port()}/healthz"
    code, text = check(url)
    sys.stdout.write(text + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
