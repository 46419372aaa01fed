"""What every template does to text, also where its author forgot."""

from __future__ import annotations

import html

import pytest
from markupsafe import Markup

from deployments.console import templates


def rendered(source: str, **context: object) -> str:
    return templates._environment().from_string(source).render(**context)


def test_text_is_escaped_and_controls_are_shown_as_a_sign() -> None:
    assert rendered("{{ x }}", x="<b>\x1b\u202e\x00é\n") == "&lt;b&gt;���é\n"


def test_markup_of_our_own_stays() -> None:
    assert rendered("{{ x }}", x=Markup("<b>1</b>")) == "<b>1</b>"


@pytest.mark.parametrize("text", ["plain", "<script>\"'&", "a\u202eb\u200b", "new\nline\ttab", "é中😀"])
def test_a_hidden_input_sends_back_what_it_got(text: str) -> None:
    shown = rendered("{{ x|exact }}", x=text)
    assert html.unescape(shown) == text
    assert "<" not in shown
    assert '"' not in shown
    assert all(one.isprintable() for one in shown)


def test_a_template_that_names_what_is_not_there_fails() -> None:
    with pytest.raises(Exception, match="undefined"):
        rendered("{{ nothing }}")


def test_a_query_leaves_out_what_is_empty_and_quotes_the_rest() -> None:
    assert rendered("{{ {'a': 'x & y', 'b': '', 'c': None, 'd': ['1', '2']}|query }}") == "?a=x+%26+y&amp;d=1&amp;d=2"
