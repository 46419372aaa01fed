"""Every kind of health event: its name, its severity, when it begins and ends, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

WARNING, WARNING_THEN_ERROR, ERROR = "Warning", "Warning, then Error", "Error"
"""Error: something is not collected. Warning: it is collected, but something needs attention."""
COLLECTED = "It is collected again."
LOOK = "`onepassword-source check NAME` finds the cause; `onepassword-source restart NAME` tries again."


@dataclass(frozen=True, slots=True)
class HealthEventKind:
    """One `eventName`. `tracker` is the form of its `trackerId`. `ends` is empty for what is reported once."""

    name: str
    severity: str
    tracker: str
    begins: str
    ends: str
    hint: str


HEALTH_EVENT_KINDS = (
    HealthEventKind(
        "ThirdPartyConfigError",
        ERROR,
        "error, error/API",
        "This error stopped an API or the whole source.",
        COLLECTED,
        "Change the configuration or the token. Its description names what is wrong.",
    ),
    HealthEventKind(
        "ThirdPartyGenericError",
        WARNING_THEN_ERROR,
        "error, error/API",
        "An API has failed for 5 minutes and is retried; Error after 90 minutes, when retries stop.",
        COLLECTED,
        LOOK,
    ),
    HealthEventKind(
        "FirstPartyGenericError",
        WARNING_THEN_ERROR,
        "error, error/API",
        "The same, for the database or the Prefect API.",
        COLLECTED,
        LOOK,
    ),
    HealthEventKind(
        "ThirdPartyConfigError, ThirdPartyGenericError, FirstPartyGenericError",
        WARNING_THEN_ERROR,
        "forward/SIEM",
        "Forwarding to a SIEM has failed for 5 minutes; Error when retries stop.",
        "Events are forwarded to it again.",
        "`onepassword-source siem test SIEM` sends a test request; `onepassword-source siem resume SIEM` tries again.",
    ),
    HealthEventKind(
        "ThirdPartyConfigError, ThirdPartyGenericError, FirstPartyGenericError",
        WARNING,
        "backfill/API, reconcile/API",
        "A window of a backfill or of a reconcile was not read: retries stopped.",
        "The windows of the API are read.",
        "`onepassword-source backfill NAME --resume` continues the backfill.",
    ),
    HealthEventKind(
        "CursorRejected",
        WARNING,
        "cursor/API",
        "1Password rejects a stored cursor.",
        "The API is collected again.",
        "Nothing, if it does not return: events are read again from 48 hours before.",
    ),
    HealthEventKind(
        "EventsInFuture",
        WARNING,
        "future/API",
        "Events are dated after their receipt. They are stored and forwarded as received. Newest event, lag, silence"
        " and retention count from the time of receipt.",
        "A day passed without one.",
        "Find the device with the wrong clock.",
    ),
    HealthEventKind(
        "EventsQuarantined",
        WARNING,
        "quarantine/API",
        "An item cannot be stored as an event. Reported again for each new reason.",
        "A day passed without one.",
        "The items are kept byte for byte in the table `quarantine`. Report them to this project.",
    ),
    HealthEventKind(
        "UnknownMember",
        WARNING,
        "unknown/API",
        "An event has a member that is not documented. Reported once each. It is stored and forwarded like any other.",
        "",
        "See whether your queries and your SIEM's rules need to know it.",
    ),
    HealthEventKind(
        "UnknownValue",
        WARNING,
        "unknown/API",
        "An event has a value that is not documented. Reported once each. It is stored and forwarded like any other.",
        "",
        "See whether your queries and your SIEM's rules need to know it.",
    ),
    HealthEventKind(
        "TokenExpires",
        WARNING,
        "token",
        "The token expires in less than 14 days. Reported again at 7 days, at 1 day, and when it has expired.",
        "Another token is used.",
        "Issue a new one, and store it with `onepassword-source token NAME`.",
    ),
    HealthEventKind(
        "ScopeLost",
        WARNING,
        "scope/SCOPE",
        "Introspection reports that the token no longer has a scope. Reported once.",
        "",
        "Issue a token with that scope, or remove the API from `supported_apis`.",
    ),
    HealthEventKind(
        "ScopeGained",
        WARNING,
        "scope/SCOPE",
        "Introspection reports that the token has a scope that it did not have. Reported once.",
        "",
        "Add the API to `supported_apis` if you want its events.",
    ),
    HealthEventKind(
        "EventsRejected",
        WARNING,
        "rejected/SIEM",
        "A SIEM rejected an event.",
        "All rejected events were sent again or discarded.",
        "`onepassword-source siem rejected SIEM` lists them; `siem replay SIEM --rejected` sends them again.",
    ),
    HealthEventKind(
        "Silence",
        WARNING,
        "silence/API",
        "An API has no event for longer than `silence_after`, or than usual for it (24 hours or more).",
        "It has events again.",
        "If your people use 1Password, check the token's scopes; `silence_after` sets another limit.",
    ),
    HealthEventKind(
        "Lag",
        WARNING,
        "lag/API",
        "An API was not read to its end for longer than `lag_after` (an hour). Also judged from outside the runs.",
        "It is read to its end.",
        "`onepassword-source check NAME` finds the cause.",
    ),
    HealthEventKind(
        "NotRunning",
        WARNING_THEN_ERROR,
        "runs",
        "No run of a source has worked for two ticks (12 minutes); Error after an hour. Judged from outside the runs.",
        "A run works again, or none is due.",
        "`onepassword-source check NAME` finds the cause. Is `onepassword-source up` running?",
    ),
    HealthEventKind(
        "EventsMissed",
        WARNING,
        "missed/API",
        "Reconcile found events that live collection had missed. Reported once, with uuids and times.",
        "",
        "They are stored now. To read a longer time again, use `onepassword-source backfill NAME`.",
    ),
    HealthEventKind(
        "EventsChanged",
        WARNING,
        "changed/API",
        "Reconcile found events whose body 1Password has changed. Reported once for each body.",
        "",
        "The events stay as first received. The new bodies are in the table `changed_bodies`.",
    ),
    HealthEventKind(
        "Gap",
        WARNING,
        "gap/API",
        "Something was not collected, and 1Password drops it in less than 14 days.",
        "It was fetched, or is lost.",
        "Run the command in the hint, a `backfill`, in time.",
    ),
    HealthEventKind(
        "GapLost",
        WARNING,
        "gap/API",
        "A gap was not fetched in time. Reported once each.",
        "Four days later.",
        "`onepassword-source coverage NAME` shows what is stored.",
    ),
    HealthEventKind(
        "SharedAccount",
        WARNING,
        "shared-account",
        "Another source collects from the same account.",
        "No other source does.",
        "Unless they have different APIs, keep one: `onepassword-source delete NAME`.",
    ),
    HealthEventKind(
        "Recovered",
        "as the event it ends",
        "that of the event it ends",
        "One of the above is over (`status` is `Healthy`).",
        "",
        "Nothing.",
    ),
)
NAMES = tuple(dict.fromkeys(name for kind in HEALTH_EVENT_KINDS for name in kind.name.split(", ")))
"""Every `eventName`."""
