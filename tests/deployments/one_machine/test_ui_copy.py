"""Our copy of Prefect's UI: what its page asks for is there, login comes first, and other users cannot read it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from deployments.one_machine import ui_copy
from deployments.one_machine.ui_copy import COPIED, LOGIN, TAG

if TYPE_CHECKING:
    from pathlib import Path

PAGE = '<head>\n    <script type="module" src="/app.js"></script><script src="/b.js"></script>\n</head>'


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The copy of one version, in the directory of all of them."""
    version = tmp_path / "v1"
    (version / "ico").mkdir(parents=True)
    (version / "index.html").write_text(PAGE)
    for source in COPIED.values():
        (version / source).write_text(f"the picture {source}")
    return version


def test_missing_files_are_copies(copy: Path) -> None:
    ui_copy.complete(copy.parent)
    assert {name: (copy / name).read_text() for name in COPIED} == {
        "favicon.ico": "the picture ico/favicon.ico",
        "favicon-dark.ico": "the picture ico/favicon-dark.ico",
        "ico/undefined.svg": "the picture ico/pending.svg",
        "ico/cancelling.svg": "the picture ico/cancelled.svg",
        "ico/paused.svg": "the picture ico/pending.svg",
    }
    assert (copy / "login_first.js").read_bytes() == LOGIN.read_bytes()


def test_files_that_prefect_has_are_its_own(copy: Path) -> None:
    (copy / "ico" / "paused.svg").write_text("Prefect's")
    ui_copy.complete(copy.parent)
    assert (copy / "ico" / "paused.svg").read_text() == "Prefect's"


def test_a_picture_that_prefect_no_longer_has_is_left_out(copy: Path) -> None:
    (copy / "ico" / "pending.svg").unlink()
    ui_copy.complete(copy.parent)
    assert not (copy / "ico" / "undefined.svg").exists()
    assert (copy / "ico" / "cancelling.svg").exists()


def test_the_page_loads_our_script_before_its_own_and_once(copy: Path) -> None:
    for _ in range(2):  # each start of the server
        ui_copy.complete(copy.parent)
    page = (copy / "index.html").read_text()
    assert page == PAGE.replace('<script type="module"', f'{TAG}\n    <script type="module"')
    assert TAG == '<script src="/login_first.js"></script>'


def test_each_version_is_completed_and_nothing_else(copy: Path) -> None:
    second = copy.parent / "v2"
    shutil.copytree(copy, second)
    (copy.parent / "notes").mkdir()
    (copy.parent / "index.html").write_text(PAGE)
    ui_copy.complete(copy.parent)
    assert (second / "login_first.js").exists()
    assert list((copy.parent / "notes").iterdir()) == []
    assert (copy.parent / "index.html").read_text() == PAGE


def test_other_users_cannot_read_the_copy(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.touch()
    outside.chmod(0o644)  # the umask may be stricter
    (copy / "link").symlink_to(outside)
    (copy / "broken").symlink_to("nowhere")
    for path in (copy, copy / "ico"):
        path.chmod(0o755)
    (copy / "index.html").chmod(0o644)
    ui_copy.complete(copy.parent)
    assert {path.stat().st_mode & 0o777 for path in (copy, copy / "ico")} == {0o700}
    files = [path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert outside.stat().st_mode & 0o777 == 0o644, "what a link leads to is not ours"


def test_without_a_copy_there_is_nothing_to_do(tmp_path: Path) -> None:
    ui_copy.complete(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_the_page_of_prefects_own_package_is_completed(tmp_path: Path) -> None:
    import prefect

    shutil.copytree(prefect.__ui_static_path__, tmp_path / "v1")
    ui_copy.complete(tmp_path)
    page = (tmp_path / "v1" / "index.html").read_text()
    assert page.count("/login_first.js") == 1
    assert page.index("/login_first.js") < page.index('type="module"')
    for name in COPIED:
        assert (tmp_path / "v1" / name).stat().st_size > 100
