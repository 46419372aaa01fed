"""A text that is never shown: not by repr, not by str, and not by a pickle."""

from __future__ import annotations

MASK = "********"


class Secret:
    """Holds a token between the file, the prompt or the environment, and the block that keeps it.

    It is no dataclass, since `dataclasses.asdict` would take those apart.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __reduce__(self) -> tuple[object, ...]:
        return Secret, (MASK,)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self  # the default goes through __reduce__ and would lose the text


def is_masked(text: str) -> bool:
    """Whether there is nothing but asterisks, as in an exported file, and so no secret at all."""
    return not text.strip().strip("*")
