"""`python -m deployments.sandbox`: prints one JSON line with base_url and token as soon as it listens."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from deployments.sandbox.faults import KINDS
from deployments.sandbox.options import SandboxOptionError, SandboxOptions
from deployments.sandbox.rate_limiter import REAL_WINDOWS, RequestWindow
from deployments.sandbox.server import SandboxStartError, serve

if TYPE_CHECKING:
    from collections.abc import Callable


def main(
    arguments: list[str] | None = None,
    *,
    prog: str = "python -m deployments.sandbox",
    ready: Callable[[str, str], None] | None = None,
) -> int:
    """Serve until Ctrl-C. `ready` is called with base URL and token instead of the JSON line. Returns the exit code."""
    chosen = parser(prog).parse_args(arguments)
    try:
        serve(
            _options(chosen),
            ready=_print_line if ready is None or chosen.json else ready,
            stop_with=sys.stdin.buffer if chosen.stop_with_stdin else None,
        )
    except KeyboardInterrupt:
        return 0
    except (SandboxStartError, SandboxOptionError) as error:
        print(f"{prog}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def read_fault(text: str) -> dict[str, Any]:
    """A fault as a flag gives it: `KIND[:API[:TIMES]]`, or JSON if it has options."""
    kind, _, rest = text.partition(":")
    api, _, times = rest.partition(":")
    try:
        if text.startswith("{"):
            return dict(json.loads(text))
        return {"kind": kind, "api": api or None, "times": int(times) if times else None}
    except ValueError:
        message = f'{text!r} is neither KIND[:API[:TIMES]] nor JSON such as {{"kind": "429", "retry_after": 2}}'
        raise argparse.ArgumentTypeError(message) from None


def _read_window(text: str) -> RequestWindow:
    requests, _, seconds = text.partition("/")
    try:
        return RequestWindow(int(requests), float(seconds))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not N/SECONDS, such as 600/60") from None


def _options(chosen: argparse.Namespace) -> SandboxOptions:
    windows = tuple(chosen.rate_window) or (REAL_WINDOWS if chosen.rate_limits else ())
    return SandboxOptions(
        port=chosen.port,
        events=chosen.events,
        seed=chosen.seed,
        days=chosen.days,
        rate=chosen.rate,
        until=chosen.until,
        bulk=chosen.bulk,
        gzip=chosen.gzip,
        rate_windows=windows,
        faults=tuple(chosen.fault),
    )


def parser(prog: str) -> argparse.ArgumentParser:
    """All flags of the sandbox."""
    parser = argparse.ArgumentParser(
        prog,
        description=_ABOUT,
        epilog=_epilog(prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, default = parser.add_argument, SandboxOptions()
    add("--port", type=int, default=default.port, help="0 (the default) takes a free one")
    add(
        "--events",
        type=int,
        default=default.events,
        help="number of events at the start, all APIs together (%(default)s)",
    )
    add("--seed", type=int, default=default.seed, help="the same seed produces the same events (%(default)s)")
    add(
        "--days",
        type=float,
        default=default.days,
        help="number of past days that they are spread over (%(default)s)",
    )
    add(
        "--rate",
        type=float,
        default=default.rate,
        help="number of new events per minute and API (%(default)s)",
    )
    add("--until", metavar="TIME", help="end of the first events, RFC 3339 (now)")
    add(
        "--bulk",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="compute the events instead of storing them, for millions",
    )
    add(
        "--gzip",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compress responses (on, but not with --bulk)",
    )
    add("--rate-limits", action="store_true", help="600 requests per minute and 30,000 per hour, as the real API")
    add(
        "--rate-window",
        type=_read_window,
        action="append",
        default=[],
        metavar="N/SECONDS",
        help="a rate window of another size",
    )
    add(
        "--fault",
        type=read_fault,
        action="append",
        default=[],
        metavar="KIND[:API[:TIMES]]",
        help="or JSON with options; repeatable",
    )
    add("--json", action="store_true", help="print one JSON line with base_url and token, on a terminal too")
    add("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def _epilog(prog: str) -> str:
    kinds = [_filled(f"  {name:16} {kind.meaning}") for name, kind in KINDS.items()]
    example = f"Example: {prog} --port 8080 --rate 30 --fault 500"
    return "\n".join(["kinds of faults:", *kinds, "", example])


def _filled(line: str) -> str:
    return textwrap.fill(line, 79, subsequent_indent=" " * 19, break_on_hyphens=False)


def _print_line(base_url: str, token: str) -> None:
    print(json.dumps({"base_url": base_url, "token": token}), flush=True)  # noqa: T201


_ABOUT = "A fake 1Password Events API on 127.0.0.1: made-up events, and faults on demand."

if __name__ == "__main__":
    sys.exit(main())
