"""The base of our Prefect blocks: what goes wrong with one never shows what is secret in it."""

from __future__ import annotations

import json
from abc import ABC
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError, ValidatorFunctionWrapHandler, model_validator

from blocks.problems import ConfigurationError, Problem, json_path
from blocks.secret import MASK

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


PATH = "block"  # where the paths of a block's problems begin, as those of a file begin with $


class SecretBlock(Block, ABC):
    """A block whose problems are ConfigurationErrors, and whose pickle holds no secret."""

    @model_validator(mode="wrap")
    @classmethod
    def _hide_input(cls, values: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        # pydantic's own error quotes what it was given, and so the token; Prefect would log and pickle it.
        try:
            block: Self = handler(cls._without_nulls(values))
        except ValidationError as error:
            problems = [_problem(details) for details in error.errors()]
        else:
            return block
        raise ConfigurationError(problems)

    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """A secret that was left empty in Prefect's UI is null there."""
        if not isinstance(values, dict):
            return values
        optional = cls._optional_secrets()
        return {key: value for key, value in values.items() if value is not None or key not in optional}

    @classmethod
    def _optional_secrets(cls) -> set[str]:
        return {name for name, field in cls.model_fields.items() if isinstance(field.default, SecretStr)}

    def unset_secrets(self) -> set[str]:
        """The members that could hold a secret, and hold none."""
        return {name for name in self._optional_secrets() if not getattr(self, name).get_secret_value()}

    @classmethod
    def model_json_schema(cls, *how: Any, **also: Any) -> dict[str, Any]:
        """Prefect's schema, made once per process: Prefect needs it for each member that it saves or loads (18 ms)."""
        schema: dict[str, Any] = json.loads(_schema_of(cls, how, tuple(also.items())))
        return schema

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        members = {key: _masked(value) for key, value in state["__dict__"].items()}
        return {**state, "__dict__": members, "__pydantic_extra__": {}}


@cache
def _schema_of(block: type[SecretBlock], how: tuple[Any, ...], also: tuple[tuple[str, Any], ...]) -> str:
    return json.dumps(super(SecretBlock, block).model_json_schema(*how, **dict(also)))


def _problem(details: ErrorDetails) -> Problem:
    path = PATH
    for part in details["loc"]:
        path = json_path(path, part)
    if details["type"] == "missing":
        return Problem(path, "it is missing", "a value")
    return Problem(path, "it has a value of the wrong kind", f"a value that Prefect accepts: {details['msg']}")


def _masked(value: object) -> object:
    return SecretStr(MASK) if isinstance(value, SecretStr) else value
