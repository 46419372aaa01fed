"""An item usage: Entity Management of the item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem.formats.body import NO_CLIENT, NO_PERSON
from blocks.siem.formats.ocsf import objects
from blocks.siem.formats.ocsf.activity import OTHER, UNKNOWN, Activity, OcsfClass
from blocks.siem.formats.ocsf.event import ClassFields, encode
from blocks.siem.formats.ocsf.objects import client_versions, unmapped

if TYPE_CHECKING:
    from blocks.siem.formats.body import ItemUsage
    from blocks.siem.formats.event import EncoderInput

TABLE = (
    (1, "Create", "server-create"),
    (2, "Read", "enter-item-edit-mode export fill reveal secure-copy select-sso-provider server-fetch"),
    (3, "Update", "server-update"),
    (OTHER, "Other", "other share"),
)
"""The activities: number, caption, and the actions that map to it. Entering edit mode does not change the item yet."""

_ENTITY = OcsfClass.ENTITY_MANAGEMENT
ACTIVITIES = {action: Activity(_ENTITY, uid, name) for uid, name, actions in TABLE for action in actions.split()}
_ABSENT = Activity(_ENTITY, UNKNOWN, "Unknown")
_OTHER = Activity(_ENTITY, OTHER, "Other")


def document(encoder_input: EncoderInput, body: ItemUsage) -> bytes:
    person, client, action = body.user or NO_PERSON, body.client or NO_CLIENT, body.action
    source = objects.endpoint(client.ip_address, body.location)
    who = objects.user(person, None, person.user_account_uuid, person.user_type)
    parts = ClassFields(
        entity=_item(body),
        actor=objects.OcsfActor(who, client.app_name or None) if who or client.app_name else None,
        src_endpoint=source,
        device=objects.device(client),
        unmapped=unmapped(client=client_versions(client), location=None if source else body.location),
    )
    return encode(encoder_input, ACTIVITIES.get(action, _OTHER) if action else _ABSENT, action, parts)


def _item(body: ItemUsage) -> objects.OcsfEntity:
    uid, version = body.item_uuid or None, body.used_version
    vault = {"vault_uuid": body.vault_uuid, "vault_name": body.vault_name}
    return objects.OcsfEntity(
        OTHER,
        "Item",
        uid,
        body.item_name or (None if uid else objects.UNKNOWN_NAME),
        None if version is None else str(version),
        {name: value for name, value in vault.items() if value} or None,
    )
