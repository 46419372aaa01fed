"""`prefect worker start` with a log of JSON, as a program: what Prefect's command line prints becomes objects, too."""

from __future__ import annotations

import sys

from deployments.service_log import JsonLines


def main() -> None:
    """Do what `prefect` does with the arguments of this process. The environment has the settings of its logging."""
    # Its prompts are not used, and its runs are processes of their own, which log by themselves.
    sys.stdout = sys.stderr = JsonLines(sys.stdout, "worker")
    from prefect.cli import app  # noqa: PLC0415 - its consoles write to what the streams are now

    app()


if __name__ == "__main__":
    main()
