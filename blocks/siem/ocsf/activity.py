"""What OCSF calls that which happened: a class, and an activity of that class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

CATEGORY_UID, CATEGORY_NAME = 3, "Identity & Access Management"
UNKNOWN, OTHER = 0, 99
INFORMATIONAL = 1  # 1Password does not rate its events


class OcsfClass(IntEnum):
    """The classes that 1Password's events belong to, by their number."""

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


@dataclass(frozen=True)
class Activity:
    """An activity of a class by its number and caption. Of `Other`, 1Password's own word takes the caption's place."""

    ocsf_class: OcsfClass
    id: int
    caption: str

    @cached_property
    def members(self) -> dict[str, Any]:
        """What each event of this activity holds."""
        kind = self.ocsf_class
        return {
            "activity_id": self.id,
            "activity_name": self.caption,
            "category_uid": CATEGORY_UID,
            "category_name": CATEGORY_NAME,
            "class_uid": int(kind),
            "class_name": kind.caption,
            "type_uid": kind * 100 + self.id,
            "type_name": f"{kind.caption}: {self.caption}",
            "severity_id": INFORMATIONAL,
            "severity": "Informational",
        }
