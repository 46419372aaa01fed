"""A real browser, if one is installed, and a page of another origin that tries to read a local server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

BAD_REQUEST = 400
NAMES = ("chromium", "chromium-browser", "google-chrome")

# All that a page may try without permission of the server: fetch, embed, open a WebSocket.
PAGE = """<!doctype html><body><pre id="got">nothing yet</pre><script>
const server = %(server)s, key = %(key)s, got = {};
const body = JSON.stringify({include_secrets: true});
const done = [];
function note(name, promise) {
  done.push(promise.then(value => { got[name] = value; }, error => { got[name] = null; }));
}
async function read(url, options) {
  const answer = await fetch(url, options);
  return answer.type === "opaque" ? null : await answer.text();
}
function load(tag, url) {
  return new Promise((resolve, reject) => {
    const element = document.createElement(tag);
    Object.assign(element, {onload: () => resolve("loaded"), onerror: reject, src: url});
    document.body.append(element);
  });
}
function open(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ["prefect"]);
    Object.assign(socket, {onopen: () => resolve("opened"), onerror: reject});
  });
}
note("own", read("/own", {}));
for (const mode of ["cors", "no-cors"]) for (const credentials of ["omit", "include"]) {
  const how = `${mode} ${credentials} `, options = {mode, credentials};
  note(how + "GET", read(server + "/api/block_documents/?include_secrets=true", options));
  note(how + "health", read(server + "/api/health", options));
  note(how + "page", read(server + "/", options));
  note(how + "POST", read(server + "/api/block_documents/filter", {...options, method: "POST", body}));
  const headers = {"Authorization": "Basic " + key, "Content-Type": "application/json"};
  note(how + "password", read(server + "/api/block_documents/filter", {...options, method: "POST", body, headers}));
}
note("script", load("script", server + %(script)s));
note("frame", load("iframe", server + "/").then(() => frames[0].document.body.innerText));
note("websocket", open(server.replace("http", "ws") + "/api/events/out"));
Promise.all(done).then(() => { document.getElementById("got").textContent = JSON.stringify(got); });
</script>"""


def find() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)}")
    return found


def dump(url: str, profile: Path, *options: str, milliseconds: int = 10_000) -> str:
    """The HTML of a page in a headless browser after so many milliseconds of the browser's virtual time."""
    switches = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}")
    command = [find(), *switches, f"--virtual-time-budget={milliseconds}", *options, "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def opened(**options: Any) -> Iterator[Page]:
    """An empty page of a headless browser (Playwright); `options` are those of a browser context."""
    from playwright.sync_api import sync_playwright

    path = find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield chromium.new_context(**options).new_page()
        finally:
            chromium.close()


@dataclass
class Observed:
    """What a page must not do, as observed."""

    foreign: list[str] = field(default_factory=list)
    """Requested addresses of other origins."""
    failed: list[str] = field(default_factory=list)
    """Responses with a status of 400 or more."""
    errors: list[str] = field(default_factory=list)
    """Script errors and errors on the console, which include violations of the content security policy."""

    @property
    def found(self) -> list[str]:
        return [*self.foreign, *self.failed, *self.errors]


def observe(page: Page, origin: str) -> Observed:
    """Record from now on what the page does."""
    seen = Observed()
    own = (origin, "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else seen.foreign.append(request.url))
    page.on(
        "response",
        lambda got: seen.failed.append(f"{got.status} {got.url}") if got.status >= BAD_REQUEST else None,
    )
    page.on("console", lambda line: seen.errors.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    return seen


def read_by_another_page(server: str, script: str, key: str, profile: Path) -> dict[str, Any]:
    """What a page from another port of this machine can read from `server`, although it knows the password."""
    page = PAGE % {"server": json.dumps(server), "script": json.dumps(script), "key": json.dumps(key)}
    with _served({"/": page, "/own": "readable"}) as url:
        document = dump(url, profile)
    found = re.search(r'<pre id="got">(.*?)</pre>', document, re.DOTALL)
    assert found, document
    return dict(json.loads(unescape(found[1])))


@contextmanager
def _served(pages: dict[str, str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}/"
        http.shutdown()
