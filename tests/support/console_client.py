"""A client of the console that keeps the session's cookie and sends the CSRF token with each form."""

from __future__ import annotations

import html
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn

from blocks import settings
from deployments.console.app import create_app
from deployments.console.gate import COOKIE
from deployments.console.passwords import Passwords
from deployments.console.sessions import Role, Session
from deployments.console.settings import ConsoleSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it prefers another httpx than Prefect's
    from starlette.testclient import TestClient

if TYPE_CHECKING:
    from httpx import Response

    from deployments.console.context import Console

PASSWORDS = Passwords("the operator's", "the viewer's")
JOB_SECONDS = 60.0


@dataclass
class ServedConsole:
    """A console as an ASGI application, without a server."""

    settings: ConsoleSettings = field(default_factory=lambda: ConsoleSettings(PASSWORDS, can_act=True))
    app: Any = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(self.settings)

    @property
    def console(self) -> Console:
        console: Console = self.app._app._app.state.console  # behind its headers and its gate
        return console

    def close(self) -> None:
        """Close the connections to the store, if a page opened any."""
        self.console.stores.close()


def as_served(app: Any) -> Any:
    """The application as uvicorn serves it, with the trusted proxies of the settings."""
    config = uvicorn.Config(app, forwarded_allow_ips=settings.trusted_proxies(), log_config=None)
    config.load()
    return config.loaded_app


class ConsoleClient(TestClient):
    """Sends requests to a console, without a session until `as_role`. `peer` is the client's IP address."""

    def __init__(self, served: ServedConsole, session: Session | None = None, peer: str = "testclient") -> None:
        super().__init__(as_served(served.app), client=(peer, 50000))
        self.served = served
        self._session = session
        if session is not None:
            self.cookies.set(COOKIE, served.settings.sessions.encode(session))

    def as_role(self, role: Role, person: str = "Ada") -> ConsoleClient:
        """A second client, which is logged in to the same console."""
        return self.from_peer("testclient", self.served.settings.sessions.create(role, person))

    def from_peer(self, peer: str, session: Session | None = None) -> ConsoleClient:
        """A second client, or a proxy, at this address."""
        return ConsoleClient(self.served, session, peer)

    def page(self, path: str, status: int = 200) -> str:
        """The HTML of a page of the console; `path` is relative to /console."""
        answer = self.get(f"/console{path}")
        assert answer.status_code == status, answer.text
        return answer.text

    def submit(self, path: str, status: int = 200, **form: str) -> str:
        """Send a form with the CSRF token. Returns the page with the result; for a job, the page after its end."""
        answer = self.post_form(path, **form)
        assert answer.status_code == status, answer.text
        job = re.fullmatch(r"/console/actions/([\w-]+)", answer.url.path)
        if job is None:
            return answer.text
        found = self.served.console.jobs.find(job[1])
        assert found is not None
        assert found.ended.wait(JOB_SECONDS)
        return self.page(f"/actions/{found.id}")

    def post_form(self, path: str, **form: str) -> Response:
        token = self.served.settings.sessions.csrf_token(self._session) if self._session else ""
        return self.post(f"/console{path}", data={"csrf": token, **form})


def shown_text(page: str) -> str:
    """The text of a page without tags, with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
