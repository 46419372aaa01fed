"""The errors of a source. Each type says what the caller has to do.

    SourceError
    ├── ThirdPartyConfigError      do not retry: a person must change the configuration
    │   ├── TokenError             the same, for all APIs of the source
    │   └── CursorRejectedError    once: drop the stored cursor and read again from a time
    ├── ThirdPartyGenericError     retry: 1Password, or the way to it, is in trouble
    │   └── UnconfirmedError       check by introspection what a 401, 403 or 404 means
    ├── FirstPartyGenericError     retry: the database or the Prefect API is in trouble
    │   ├── StoreVersionError      do not retry: the store was made by a newer version
    │   └── UnexpectedError        end this run: an error in this program; the next run tries again
    └── ClaimLostError             stop: another run reads this stream now

Every error can be pickled (Prefect pickles what a failed task raised) and holds no token, header or body.
"""

from __future__ import annotations

from typing import Self


def join_sentences(message: str, hint: str | None) -> str:
    """What happened and what to do, as sentences.

    A message may end in a quotation, such as a SIEM's answer, without a full stop.
    """
    if message and hint and not message.endswith(_ENDS):
        message += "."
    return f"{message} {hint or ''}".strip()


_ENDS = (".", "!", "?", ":", ";", "…", ".'", '."', ".)", "?)")


class SourceError(Exception):
    """What happened, in one sentence, and what to do next.

    `code` is short and stable ("401", "timeout"). `retry_in` is set if the step is retried: in that many seconds.
    """

    name = "SourceError"
    retry_in: float | None = None
    whole_source = False
    """True if it concerns the whole source (its token, its store), and not one API."""

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return join_sentences(self.message, self.hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__.copy())


class ThirdPartyConfigError(SourceError):
    """The configuration is wrong. No more requests are made until it changes or the source is restarted."""

    name = "ThirdPartyConfigError"


class TokenError(ThirdPartyConfigError):
    """The token is rejected, or it belongs to another account."""

    whole_source = True


class CursorRejectedError(ThirdPartyConfigError):
    """The Events API answered 400 to a cursor."""


class ThirdPartyGenericError(SourceError):
    """The Events API, or the way to it, is in trouble; retried for up to 90 minutes since the last progress.

    `retry_after` is the number of seconds that the server requested, or None.
    """

    name = "ThirdPartyGenericError"

    def __init__(self, message: str, *, hint: str = "", code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after = retry_after


class UnconfirmedError(ThirdPartyGenericError):
    """A 401, 403 or 404. Introspection shows whether it is the configuration or a transient error."""


class FirstPartyGenericError(SourceError):
    """The database or the Prefect API is in trouble; retried like a ThirdPartyGenericError."""

    name = "FirstPartyGenericError"
    whole_source = True


class StoreVersionError(FirstPartyGenericError):
    """The store was made by a newer version of this program."""


class UnexpectedError(FirstPartyGenericError):
    """An exception that this program does not expect. Reported at once: a retry in the same run would not help."""

    whole_source = False

    @classmethod
    def from_exception(cls, error: BaseException) -> Self:
        """Without the message of the exception, which may quote an event."""
        return cls(
            f"An unexpected error in this program: {type(error).__name__}.",
            hint="What was committed stays, and the next run tries again. The run's log shows where; please report it.",
            code="unexpected",
        )


class ClaimLostError(SourceError):
    """Another run has taken over the stream. What this run has committed stays."""

    name = "ClaimLost"


def as_source_error(error: BaseException) -> SourceError:
    """The error itself, or an UnexpectedError for an exception of another kind."""
    return error if isinstance(error, SourceError) else UnexpectedError.from_exception(error)


def _rebuild(kind: type[SourceError], members: dict[str, object]) -> SourceError:
    error = kind.__new__(kind)
    Exception.__init__(error, members["message"])
    error.__dict__.update(members)
    return error
