"""The automations that this project ships: a notification when a source is in error, and the end of dead runs.

`up` and `apply` create them. A tag holds the digest of the shipped form. An automation that no longer matches its tag
was changed by a person (edited, renamed, switched off) and is left unchanged. This module imports Prefect, so call
`server_access.activate` before it is imported.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, DoNothing, SendNotification
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from blocks import settings
from blocks.health import ERROR, UNHEALTHY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import Automation

TAG = "1password"
WAKE_PREFIX = "wake-"
"""The tag prefix of automations that older versions created for each pair of source and SIEM."""
SHIPPED = ("source-in-error", "dead-runs", "lost-runs")
ERRORS = ("ThirdPartyConfigError", "ThirdPartyGenericError", "FirstPartyGenericError")
HEARTBEAT = "prefect.flow-run.heartbeat"
SILENT_SECONDS = 180.0
"""Six heartbeats: a server restart or a short sleep of the machine must not end healthy runs.

A run that was ended wrongly, after minutes without a server, continues, and its next state corrects the record.
"""
ENDED = ("Completed", "Failed", "Crashed", "Cancelled")
"""The names of Prefect's final states."""

PENDING_SECONDS = 900.0
"""From the moment a worker takes a run to its first line of code. A slow machine needs one or two minutes."""

DEAD_MESSAGE = (
    "No sign of life for three minutes: the process of this run has died. The next run continues after the last page."
)
LOST_MESSAGE = (
    "A worker took this run fifteen minutes ago, and it has not begun: its start was lost. The next run collects."
)
SUBJECT = "1Password source {{ event.resource.name }}: {{ event.payload.eventName }}"
BODY = """\
{{ event.payload.details.description }}
{% if event.payload.details.hint %}
What to do: {{ event.payload.details.hint }}
{% endif %}
Source: {{ event.resource.name }} ({{ event.payload.details.api or "all APIs" }})
Error: {{ event.payload.eventName }}\
{% if event.payload.details.errorCode %} ({{ event.payload.details.errorCode }}){% endif %}
Since: {{ event.payload.eventTime }}
Event: {{ event | ui_url }}
"""

Change = Literal["created", "updated", "unchanged", "kept"]


@dataclass(frozen=True)
class AutomationChanges:
    """The change of each automation by name (`kept`: a person's own form stays), and warnings."""

    changes: dict[str, Change]
    warnings: tuple[str, ...] = ()


def ensure() -> AutomationChanges:
    """Create the automations, or update those that no person has changed.

    A server without automations, or one that forbids them, is a warning: sources are collected all the same.
    """
    with get_client(sync_client=True) as client:
        block, warnings = _notification_block(client)
        try:
            _remove_wake_automations(client)
            there = _all_tagged(client)
            changes = {key: _ensure(client, key, there, block) for key in SHIPPED}
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            return AutomationChanges(
                {}, (*warnings, f"The Prefect server refused the automations ({code}); see its log.")
            )
    return AutomationChanges(changes, warnings)


def restore(client: SyncPrefectClient, saved: AutomationCore, wanted: AutomationCore) -> None:
    """Create or update an automation of a backup. `saved` is its form there, `wanted` has the ids of this server.

    A shipped one that no person had changed stays one, so that later versions update it.
    """
    key = next((key for key in SHIPPED if any(tag.startswith(f"{key}:") for tag in saved.tags)), None)
    if key is not None and _tag(key, saved) in saved.tags:
        wanted = _tagged(key, wanted)
    found = next(iter(client.read_automations_by_name(wanted.name)), None)
    if found is None:
        client.create_automation(wanted)
    else:
        client.update_automation(found.id, wanted)


def _remove_wake_automations(client: SyncPrefectClient) -> None:
    """Remove the automations of older versions that started forward runs: a collection starts these itself."""
    while wakes := [one.id for one in _all_tagged(client) if any(tag.startswith(WAKE_PREFIX) for tag in one.tags)]:
        for wake in wakes:
            client.delete_automation(wake)


def _ensure(client: SyncPrefectClient, key: str, there: Sequence[Automation], block: UUID | None) -> Change:
    found = _find(client, key, there)
    if found is None:
        client.create_automation(_tagged(key, _shipped(key, block)))
        return "created"
    if _tag(key, found) not in found.tags:
        return "kept"
    # If this shell does not name the block, another shell did.
    wanted = _tagged(key, _shipped(key, block or _notification_block_id(found)))
    if _tag(key, wanted) in found.tags:
        return "unchanged"
    client.update_automation(found.id, wanted)
    return "updated"


def _find(client: SyncPrefectClient, key: str, there: Sequence[Automation]) -> Automation | None:
    tagged = (one for one in there if any(tag.startswith(f"{key}:") for tag in one.tags))
    found = next(tagged, None)
    return found or next(iter(client.read_automations_by_name(_shipped(key, None).name)), None)


def _all_tagged(client: SyncPrefectClient) -> list[Automation]:

    return client.read_automations(automations=AutomationFilter(tags=AutomationFilterTags(all_=[TAG])))


def _notification_block(client: SyncPrefectClient) -> tuple[UUID | None, tuple[str, ...]]:

    named = settings.read("NOTIFY")
    if named is None:
        return None, ()
    kind, _, name = named.partition("/")
    try:
        block = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound:
        return None, (f"There is no block {named} to notify with; make it in the Prefect UI under Blocks.",)
    if block.block_schema is None or "notify" not in block.block_schema.capabilities:
        return None, (f"The block {named} cannot notify; name one such as slack-webhook/security.",)
    return block.id, ()


def _notification_block_id(found: Automation) -> UUID | None:
    blocks = [getattr(action, "block_document_id", None) for action in found.actions]
    return next((block for block in blocks if isinstance(block, UUID)), None)


def _shipped(key: str, block: UUID | None) -> AutomationCore:
    if key == "source-in-error":
        return _source_in_error(block)
    return _dead_runs() if key == "dead-runs" else _lost_runs()


def _source_in_error(block: UUID | None) -> AutomationCore:

    action = SendNotification(block_document_id=block, subject=SUBJECT, body=BODY) if block else DoNothing()
    return AutomationCore(
        name="1Password: source in error",
        description="A source stopped collecting. To be notified, add a notification under Actions. "
        "Your changes here stay. To disable it, switch it off: if deleted, it is created again.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"onepassword-source.health.{error}" for error in ERRORS},
            match={
                "prefect.resource.id": "onepassword-source.source.*",
                "onepassword-source.severity": ERROR,
                "onepassword-source.status": UNHEALTHY,
            },
        ),
        actions=[action],
    )


def _dead_runs() -> AutomationCore:
    # Not every event of the run: one between its last heartbeat and its death would count as a sign of life.
    return _crash_automation(
        "1Password: dead runs",
        "Ends a run whose process died together with its worker, and frees its slot.",
        DEAD_MESSAGE,
        _silence_trigger({HEARTBEAT}, {HEARTBEAT, *_event_names(*ENDED)}, SILENT_SECONDS),
    )


def _lost_runs() -> AutomationCore:
    return _crash_automation(
        "1Password: lost runs",
        "Ends a run that a worker took and that never began, for example because the Prefect server died then.",
        LOST_MESSAGE,
        _silence_trigger(
            _event_names("Pending"), _event_names("Running", "Scheduled", "Late", "Cancelling", *ENDED), PENDING_SECONDS
        ),
    )


def _crash_automation(name: str, does: str, message: str, trigger: EventTrigger) -> AutomationCore:

    return AutomationCore(
        name=name,
        description=f"{does} Your changes here stay. To disable it, switch it off: if deleted, it is created again.",
        trigger=trigger,
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def _event_names(*states: str) -> set[str]:
    return {f"prefect.flow-run.{name}" for name in states}


def _silence_trigger(after: set[str], expect: set[str], seconds: float) -> EventTrigger:
    """Fires for one of our runs if no event of `expect` arrives within `seconds` after an event of `after`."""
    return EventTrigger(
        posture=Posture.Proactive,
        after=after,
        expect=expect,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
        ),
        for_each={"prefect.resource.id"},
        threshold=1,
        within=timedelta(seconds=seconds),
    )


def _tagged(key: str, shipped: AutomationCore) -> AutomationCore:
    return shipped.model_copy(update={"tags": [TAG, _tag(key, shipped)]})


def _tag(key: str, automation: AutomationCore) -> str:
    form = json.dumps(_canonical(automation), sort_keys=True).encode()
    return f"{key}:{hashlib.sha256(form).hexdigest()[:12]}"


def _canonical(automation: AutomationCore) -> dict[str, Any]:
    # Without defaults, so that a field which a newer Prefect adds is no change. `type` is a default too.
    form = automation.model_dump(
        mode="json",
        exclude={"id": True, "tags": True, "owner_resource": True, "trigger": {"id"}},
        exclude_defaults=True,
    )
    trigger = {name: sorted(v) if name in ("after", "expect", "for_each") else v for name, v in form["trigger"].items()}
    kinds = [automation.trigger.type, *(action.type for action in automation.actions)]
    return {**form, "trigger": trigger, "kinds": kinds}
