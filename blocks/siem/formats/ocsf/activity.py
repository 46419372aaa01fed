"""The classes and activities of OCSF."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from blocks.siem.formats.json_text import to_json

CATEGORY_UID, CATEGORY_NAME = 3, "Identity & Access Management"
UNKNOWN, OTHER = 0, 99
INFORMATIONAL = 1  # 1Password's events have no severity


class OcsfClass(IntEnum):
    """The classes of 1Password's events, with their numbers."""

    ACCOUNT_CHANGE = 3001
    AUTHENTICATION = 3002
    ENTITY_MANAGEMENT = 3004
    USER_ACCESS = 3005
    GROUP_MANAGEMENT = 3006

    @property
    def caption(self) -> str:
        return _CAPTIONS[self]


_CAPTIONS = {
    OcsfClass.ACCOUNT_CHANGE: "Account Change",
    OcsfClass.AUTHENTICATION: "Authentication",
    OcsfClass.ENTITY_MANAGEMENT: "Entity Management",
    OcsfClass.USER_ACCESS: "User Access Management",
    OcsfClass.GROUP_MANAGEMENT: "Group Management",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity of a class: its number and caption."""

    ocsf_class: OcsfClass
    id: int
    caption: str


@lru_cache(maxsize=1024)
def activity_fields(activity: Activity, word: str | None) -> bytes:
    """Return the first attributes of each event of this activity. For `Other`, `word` is the name of the activity."""
    kind = activity.ocsf_class
    return to_json(
        {
            "activity_id": activity.id,
            "activity_name": word if activity.id == OTHER and word else activity.caption,
            "category_uid": CATEGORY_UID,
            "category_name": CATEGORY_NAME,
            "class_uid": int(kind),
            "class_name": kind.caption,
            "type_uid": kind * 100 + activity.id,
            "type_name": f"{kind.caption}: {activity.caption}",
            "severity_id": INFORMATIONAL,
            "severity": "Informational",
        }
    )
