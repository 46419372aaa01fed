"""Every documented value of the Events API's enumerations. The real API treats all of them as open sets."""

from __future__ import annotations

APIS = ("signinattempts", "itemusages", "auditevents")

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
SIGN_INS = tuple((category, kind) for category, kinds in SIGN_IN_TYPES.items() for kind in kinds)

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
AUDITS = tuple((action, kind) for kind, actions in AUDIT_ACTIONS.items() for action in actions.split())
