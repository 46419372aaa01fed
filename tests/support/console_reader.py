"""A user of the console: reads every page, and records response times and failures."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from pathlib import Path

OK, SEE_OTHER = 200, 303


@dataclass
class ConsoleReader:
    """Reads the console of the `up` at `origin`, whose data directory is `data`."""

    origin: str
    data: Path
    slowest: dict[str, float] = field(default_factory=dict)
    """The longest time of each page in seconds."""
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """The number of failures, by page and status."""

    def read(self) -> float:
        """Read each page of the navigation, and that of one source. Returns the seconds of the slowest."""
        times = [0.0]
        with httpx.Client(base_url=self.origin, timeout=60) as client:
            try:
                form = {"password": json.loads((self.data / "secrets.json").read_bytes())["api_password"]}
                if client.post("/console/login", data=form).status_code != SEE_OTHER:
                    self._note("/console/login", "no session")
                    return 0.0
                first = client.get("/console/").text
                paths = re.findall(r'<a href="(/console/[a-z]*)"', first.partition("</nav>")[0])
                paths += re.findall(r'"(/console/sources/[0-9a-f]{32})"', first)[:1]
                times += [self._get(client, path) for path in paths]
            except httpx.HTTPError as error:
                self._note("all", type(error).__name__)
        return max(times)

    def _get(self, client: httpx.Client, path: str) -> float:
        begun = time.perf_counter()
        status = client.get(path).status_code
        took = time.perf_counter() - begun
        name = re.sub("[0-9a-f]{32}", "ID", path)
        self.slowest[name] = max(self.slowest.get(name, 0.0), took)
        if status == OK:
            self.answered += 1
        else:
            self._note(name, str(status))
        return took

    def _note(self, path: str, what: str) -> None:
        self.failed[f"{path} {what}"] = self.failed.get(f"{path} {what}", 0) + 1
