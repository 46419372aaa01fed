"""All files that are made from the code, by their path in docs/reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from support.paths import ROOT
from support.reference import commands, configuration, health_events, json_outputs, metrics, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REFERENCE = ROOT / "docs" / "reference"
PAGES = Path(__file__).parent / "pages"
NOTE = (
    "<!-- `make reference` writes this page from the code and from tests/support/reference/pages. Do not edit it. -->"
)
PIECES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "commands.md": {
        "overview": commands.overview,
        "exit_codes": commands.exit_codes,
        "sections": commands.sections,
    },
    "configuration.md": {"source_keys": configuration.source_keys, "settings": configuration.settings},
    "siem-settings.md": {
        "shared": configuration.shared_siem_members,
        "sections": configuration.siem_sections,
    },
    "health-events.md": {"kinds": health_events.kinds},
    "metrics.md": {"sources": metrics.source_metrics, "up": metrics.up_metrics},
    "states-and-errors.md": {"errors": health_events.errors},
    "store.md": {
        "overview": store.overview,
        "views": store.view_sections,
        "tables": store.table_sections,
    },
    "json.md": {"outputs": json_outputs.outputs, "names": json_outputs.names},
}


def build_all() -> Iterator[tuple[str, str]]:
    """Each file's path in docs/reference, and its text."""
    for page in PIECES:
        yield page, build_page(page)
    yield from json_outputs.schema_files()


def build_page(page: str) -> str:
    """The text of a page: its template with the pieces in it."""
    environment = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    title, _, rest = (PAGES / page).read_text(encoding="utf-8").partition("\n")
    text = environment.from_string(rest).render({name: make() for name, make in PIECES[page].items()})
    return f"{title}\n\n{NOTE}\n{text}"


def write_all() -> Iterator[Path]:
    """Write all files, and remove schemas that no output has any more. Yields the paths that were changed."""
    made = {REFERENCE / name: text for name, text in build_all()}
    for old in set((REFERENCE / "schemas").glob("*.json")) - set(made):
        old.unlink()
        yield old
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            yield path
