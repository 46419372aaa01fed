"""`onepassword-source actions`: what the codes in events mean. It needs neither the store nor Prefect."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from blocks.events_api import action_words
from deployments.commands.support.options import Json
from deployments.terminal_output import print_indented, print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from blocks.events_api.action_words import DocumentedAction
    from deployments.json_records.events import ActionRecord

CODE_CELLS = 16  # longer codes push their words to the right

DETAILS = """
The codes are those of all three APIs, or those whose codes or words contain FILTER: `uva` with `grant` reads "gave a
person access to a vault".
"""


def command(
    text: Annotated[
        str | None,
        typer.Argument(metavar="FILTER", help="Codes or words that contain this, in any case.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print every documented code of the three APIs with its words."""
    found = [one for one in action_words.catalogue() if _matches(one, text or "")]
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    for api, of_api in groupby(found, lambda one: one.api):
        print_line(Text(api, "bold"))
        for kind, of_kind in groupby(of_api, lambda one: one.kind):
            _print_kind(api, kind, list(of_kind))
    _print_notes(found, text)


def _matches(one: DocumentedAction, text: str) -> bool:
    return text.casefold() in f"{one.api} {one.kind} {one.action} {one.words}".casefold()


def _print_kind(api: str, kind: str, found: list[DocumentedAction]) -> None:
    if kind:
        words = action_words.OBJECTS.get(kind, "") if api == action_words.AUDIT else action_words.CATEGORIES[kind]
        print_indented(Text(f"  {words}", "dim"), 2, lead=Text(kind))
    cells = max(CODE_CELLS, *(len(one.action) for one in found))
    for one in found:
        mark = "" if one.is_certain else " (?)"
        print_indented(f"{_words_below(one)}{mark}", 4, lead=f"{one.action:{cells}}  ")


def _words_below(one: DocumentedAction) -> str:
    """The words without those of the category, which stand above."""
    return action_words.describe_reason(one.action) if one.words.startswith(f"{_category(one)}: ") else one.words


def _category(one: DocumentedAction) -> str:
    return action_words.CATEGORIES.get(one.kind, "")


def _print_notes(found: list[DocumentedAction], text: str | None) -> None:
    if not found:
        print_note(f"No documented code matches {printable(text)}. Undocumented codes are shown as they are.")
    elif not all(one.is_certain for one in found):
        print_note("(?) 1Password does not publish what this code means; the words are read from the code.")


def _as_json(one: DocumentedAction) -> ActionRecord:
    codes = (one.kind, one.action) if one.api == action_words.SIGN_IN else (one.action, one.kind or None)
    return {"api": one.api, "action": codes[0], "type": codes[1], "words": one.words, "certain": one.is_certain}
