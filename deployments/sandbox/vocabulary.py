"""The documented values of the Events API, in the order in which sample events use them."""

from __future__ import annotations

from blocks.events_api.vocabulary import AUDIT_ACTIONS, EVENTS, ITEM_ACTIONS, SIGN_IN_TYPES

__all__ = ["APIS", "AUDITS", "AUDIT_ACTIONS", "ITEM_ACTIONS", "SIGN_INS"]

APIS = tuple(EVENTS)
SIGN_INS = tuple((category, kind) for category, kinds in SIGN_IN_TYPES.items() for kind in kinds)
AUDITS = tuple((action, kind) for kind, actions in AUDIT_ACTIONS.items() for action in actions.split())
