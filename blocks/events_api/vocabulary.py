"""Every documented member of an event, and every documented value of its enumerations, v1 and v2 together.

The real API treats all of them as open sets: what stands here is what is known, never what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

# What a member holds: None for text, numbers and the like; the values of an enumeration; or an object's own members.
Shape = Union[None, frozenset[str], Mapping[str, "Shape"]]  # noqa: UP007 - a name in quotes takes no `|`
Members = Mapping[str, Shape]

# Which types go with a category of a sign-in attempt.
SIGN_IN_TYPES: dict[str, tuple[str, ...]] = {
    "success": ("credentials_ok", "mfa_ok", "federated"),
    "credentials_failed": (
        "password_secret_bad",
        "platform_secret_disabled",
        "platform_secret_bad",
        "platform_secret_proxy",
        "code_disabled",
        "code_bad",
        "code_timeout",
    ),
    "mfa_failed": (
        "mfa_missing",
        "totp_disabled",
        "totp_bad",
        "totp_timeout",
        "u2f_disabled",
        "u2f_bad",
        "u2f_timeout",
        "duo_disabled",
        "duo_bad",
        "duo_timeout",
        "duo_native_bad",
    ),
    "sso_failed": ("service_account_sso_denied", "non_sso_user", "sso_user_mismatch"),
    "modern_version_failed": ("modern_version_missing", "modern_version_old"),
    "firewall_failed": (
        "ip_blocked",
        "continent_blocked",
        "country_blocked",
        "anonymous_blocked",
        "all_blocked",
    ),
    "firewall_reported_success": ("credentials_ok", "mfa_ok"),
}

ITEM_ACTIONS = (
    "fill",
    "reveal",
    "secure-copy",
    "export",
    "share",
    "enter-item-edit-mode",
    "select-sso-provider",
    "server-create",
    "server-update",
    "server-fetch",
    "other",
)

# Which actions are done to an object type.
AUDIT_ACTIONS: dict[str, str] = {
    "user": (
        "activate begin beginr cancel cancelr changeks changela changemp changenm changesk complete completr "
        "convert create delete disblmfa enblmfa musercom muserdec prsndall reactive reauth suspend trvlaway "
        "trvlback upguest updatmfa sendpkg provsn"
    ),
    "account": (
        "addgsso delgsso chngasso chngdsso chngpsso disblsso enblsso disblduo enblduo updatduo updatea "
        "updatfw vrfydmn uvrfydmn dvrfydmn uisas"
    ),
    "device": "dealldev deolddev reauth delete create",
    "card": "create updatea",
    "cred": "create delete verify",
    "dlgdsess": "dlgsess expire",
    "ec": "create delete",
    "famchild": "detchild rdmchild create",
    "file": "create",
    "gm": "join leave role",
    "group": "create delete changenm purge",
    "gva": "grant revoke update",
    "invite": "create propose expire",
    "item": "share delshare patch export purge view launchi",
    "itemhist": "patch delete",
    "items": "export purge replace",
    "miguser": "convert",
    "mngdacc": "unlink create",
    "pm": "create update",
    "report": "view export",
    "sa": "create delete suspend",
    "satoken": "trename trevoke tverify create",
    "slackapp": "create delete",
    "sso": "sdvcsso tdvcsso update",
    "ssotkn": "ssotknv revoke",
    "sub": "create cancel",
    "template": "sendts resendts hide unhide",
    "uva": "grant revoke update",
    "vault": "create delete update export",
    "vaultkey": "replace unknown",
}

_ANY: Shape = None
_CLIENT = dict.fromkeys(
    ("app_name", "app_version", "platform_name", "platform_version", "os_name", "os_version", "ip_address"), _ANY
)
_LOCATION = dict.fromkeys(("country", "region", "city", "latitude", "longitude"), _ANY)
_USER = dict.fromkeys(("uuid", "name", "email", "user_type", "user_account_uuid"), _ANY)
_SESSION = dict.fromkeys(("uuid", "login_time", "device_uuid", "ip"), _ANY)
# One vendor's tables have the user's type and account at the top.
_COMMON = dict.fromkeys(("uuid", "timestamp", "account_uuid", "user_type", "user_account_uuid"), _ANY)

# By the last part of each API's URL. The types of actors and users are left open: their values are not all documented.
EVENTS: Mapping[str, Members] = {
    "signinattempts": {
        **_COMMON,
        **dict.fromkeys(("session_uuid", "country"), _ANY),
        "category": frozenset(SIGN_IN_TYPES),
        "type": frozenset(kind for kinds in SIGN_IN_TYPES.values() for kind in kinds) | {"u2f_timout"},
        "details": {"value": _ANY},
        "target_user": _USER,
        "client": _CLIENT,
        "location": _LOCATION,
    },
    "itemusages": {
        **_COMMON,
        **dict.fromkeys(("used_version", "vault_uuid", "item_uuid"), _ANY),
        "action": frozenset(ITEM_ACTIONS),
        "user": _USER,
        "client": _CLIENT,
        "location": _LOCATION,
    },
    "auditevents": {
        **_COMMON,
        **dict.fromkeys(("actor_uuid", "actor_type", "actor_account_uuid", "object_uuid"), _ANY),
        **dict.fromkeys(("aux_id", "aux_uuid", "aux_info"), _ANY),
        "action": frozenset(action for actions in AUDIT_ACTIONS.values() for action in actions.split()),
        "object_type": frozenset(AUDIT_ACTIONS),
        "actor_details": _USER,
        "object_details": _USER,
        "aux_details": _USER,
        "session": _SESSION,
        "location": _LOCATION,
    },
}
