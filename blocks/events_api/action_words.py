"""Plain words for the codes of events: `uva` and `grant` read "gave a person access to a vault".

The words complete a sentence whose subject is the actor, or the user of a sign-in. 1Password publishes the codes, and
the meaning of some of them: the words of the codes in `UNCERTAIN` are read from the code alone. A code that is not
documented has no words: it shows as itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blocks.events_api.vocabulary import AUDIT_ACTIONS, ITEM_ACTIONS, SIGN_IN_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGN_IN, ITEM_USAGE, AUDIT = "sign-in", "itemUsage", "audit"

OBJECTS = {
    "account": "the account",
    "card": "a credit card",
    "cred": "a passkey",
    "device": "a device",
    "dlgdsess": "a delegated session",
    "ec": "an email change",
    "famchild": "a linked family account",
    "file": "a file",
    "gm": "a group member",
    "group": "a group",
    "gva": "a group's access to a vault",
    "invite": "an invitation",
    "item": "an item",
    "itemhist": "an item's history",
    "items": "items",
    "miguser": "a migrated user",
    "mngdacc": "a managed account",
    "pm": "a payment method",
    "report": "a report",
    "sa": "a service account",
    "satoken": "a service account token",
    "slackapp": "the Slack app",
    "sso": "single sign-on",
    "ssotkn": "a single sign-on token",
    "sub": "a subscription",
    "template": "an email template",
    "user": "a user",
    "uva": "a person's access to a vault",
    "vault": "a vault",
    "vaultkey": "a vault key",
}
"""The object types of audit events."""

AUDITS = {
    "activate": "activated {object}",
    "addgsso": "added a group to single sign-on",
    "begin": "began to set up {object}",
    "beginr": "began a recovery of {object}",
    "cancel": "canceled {object}",
    "cancelr": "canceled a recovery of {object}",
    "changeks": "changed the encryption keys of {object}",
    "changela": "changed the language of {object}",
    "changemp": "changed the account password of {object}",
    "changenm": "changed the name of {object}",
    "changesk": "changed the Secret Key of {object}",
    "chngasso": "changed how single sign-on authenticates",
    "chngdsso": "changed the grace period of single sign-on",
    "chngpsso": "changed the policy of single sign-on",
    "complete": "completed the setup of {object}",
    "completr": "completed a recovery of {object}",
    "convert": "converted {object}",
    "create": "created {object}",
    "dealldev": "deauthorized all devices of a user",
    "delete": "deleted {object}",
    "delgsso": "removed a group from single sign-on",
    "delshare": "ended the sharing of {object}",
    "deolddev": "deauthorized the old devices of a user",
    "detchild": "unlinked {object}",
    "disblduo": "turned off Duo for {object}",
    "disblmfa": "turned off two-factor authentication for {object}",
    "disblsso": "turned off single sign-on",
    "dlgsess": "started {object}",
    "dvrfydmn": "deleted a verified domain",
    "enblduo": "turned on Duo for {object}",
    "enblmfa": "turned on two-factor authentication for {object}",
    "enblsso": "turned on single sign-on",
    "expire": "let {object} expire",
    "export": "exported {object}",
    "grant": "granted {object}",
    "hide": "hid {object}",
    "join": "added {object}",
    "launchi": "opened the website of {object}",
    "leave": "removed {object}",
    "musercom": "completed the migration of {object}",
    "muserdec": "declined the migration of {object}",
    "patch": "changed {object}",
    "propose": "proposed {object}",
    "provsn": "provisioned {object}",
    "prsndall": "sent all pending invitations again",
    "purge": "deleted {object} permanently",
    "rdmchild": "redeemed {object}",
    "reactive": "reactivated {object}",
    "reauth": "authorized {object} again",
    "replace": "replaced {object}",
    "resendts": "sent {object} again",
    "revoke": "revoked {object}",
    "role": "changed the role of {object}",
    "sdvcsso": "set up a device for single sign-on",
    "sendpkg": "sent a provisioning package to {object}",
    "sendts": "sent {object}",
    "share": "shared {object}",
    "ssotknv": "verified {object}",
    "suspend": "suspended {object}",
    "tdvcsso": "trusted a device for single sign-on",
    "trename": "renamed {object}",
    "trevoke": "revoked {object}",
    "trvlaway": "turned on Travel Mode for {object}",
    "trvlback": "turned off Travel Mode for {object}",
    "tverify": "verified {object}",
    "uisas": "changed the settings for sharing items",
    "unhide": "showed {object} again",
    "unknown": "did something unknown to {object}",
    "unlink": "unlinked {object}",
    "updatduo": "changed the Duo settings of {object}",
    "update": "changed {object}",
    "updatea": "changed the details of {object}",
    "updatfw": "changed the firewall rules",
    "updatmfa": "changed two-factor authentication for {object}",
    "upguest": "made {object} a team member instead of a guest",
    "uvrfydmn": "ended the verification of a domain",
    "verify": "verified {object}",
    "view": "viewed {object}",
    "vrfydmn": "verified a domain",
}
"""The actions of audit events; `{object}` stands for the words of the object type."""

PAIRS = {
    ("gm", "join"): "added a person to a group",
    ("gm", "leave"): "removed a person from a group",
    ("gm", "role"): "changed a person's role in a group",
    ("group", "changenm"): "renamed a group",
    ("gva", "grant"): "gave a group access to a vault",
    ("gva", "revoke"): "took a group's access to a vault away",
    ("invite", "create"): "invited a person",
    ("invite", "propose"): "proposed to invite a person",
    ("item", "share"): "shared an item by link",
    ("pm", "create"): "added a payment method",
    ("card", "create"): "added a credit card",
    ("slackapp", "create"): "added the Slack app",
    ("slackapp", "delete"): "removed the Slack app",
    ("mngdacc", "create"): "linked a managed account",
    ("famchild", "create"): "linked a family account",
    ("famchild", "detchild"): "unlinked a family account",
    ("device", "create"): "signed in on a new device",
    ("file", "create"): "added a file",
    ("user", "cancel"): "canceled the setup of a user",
    ("uva", "grant"): "gave a person access to a vault",
    ("uva", "revoke"): "took a person's access to a vault away",
}
"""Where the words of the action and of the object type do not make a good sentence."""

ITEM_USAGES = {
    "fill": "filled in an item",
    "reveal": "revealed a secret of an item",
    "secure-copy": "copied a secret of an item",
    "export": "exported an item",
    "share": "shared an item",
    "enter-item-edit-mode": "opened an item for editing",
    "select-sso-provider": "chose a provider to sign in with",
    "server-create": "created an item through a server or a script",
    "server-update": "changed an item through a server or a script",
    "server-fetch": "read an item through a server or a script",
    "other": "used an item",
}

CATEGORIES = {
    "success": "signed in",
    "firewall_reported_success": "signed in from a place that a firewall rule reports",
    "credentials_failed": "could not sign in",
    "mfa_failed": "did not pass two-factor authentication",
    "sso_failed": "could not sign in with single sign-on",
    "modern_version_failed": "could not sign in",
    "firewall_failed": "was blocked by a firewall rule",
}
"""The categories of sign-in attempts."""

TYPES = {
    "credentials_ok": "",
    "mfa_ok": "with two factors",
    "federated": "with single sign-on",
    "password_secret_bad": "wrong account password or Secret Key",
    "platform_secret_disabled": "the device's secret is turned off",
    "platform_secret_bad": "wrong secret of the device",
    "platform_secret_proxy": "the device's secret came through a proxy",
    "code_disabled": "email codes are turned off",
    "code_bad": "wrong email code",
    "code_timeout": "the email code came too late",
    "mfa_missing": "no second factor was sent",
    "totp_disabled": "one-time passwords are turned off",
    "totp_bad": "wrong one-time password",
    "totp_timeout": "the one-time password came too late",
    "u2f_disabled": "security keys are turned off",
    "u2f_bad": "the security key was not accepted",
    "u2f_timeout": "the security key did not answer in time",
    "u2f_timout": "the security key did not answer in time",
    "duo_disabled": "Duo is turned off",
    "duo_bad": "Duo did not accept it",
    "duo_timeout": "Duo did not answer in time",
    "duo_native_bad": "Duo did not accept it in its own app",
    "service_account_sso_denied": "a service account cannot use it",
    "non_sso_user": "this user does not use it",
    "sso_user_mismatch": "the identity provider names another user",
    "modern_version_missing": "the app did not send its version",
    "modern_version_old": "the app is too old",
    "ip_blocked": "the IP address is blocked",
    "continent_blocked": "the continent is blocked",
    "country_blocked": "the country is blocked",
    "anonymous_blocked": "anonymous addresses are blocked",
    "all_blocked": "all addresses are blocked",
}
"""The types of sign-in attempts: how they succeeded, or why they failed."""

UNCERTAIN = frozenset(
    {
        *("changela", "chngasso", "chngdsso", "chngpsso", "ec", "launchi", "miguser", "musercom", "muserdec"),
        *("platform_secret_bad", "platform_secret_disabled", "platform_secret_proxy", "prsndall", "resendts"),
        *("sdvcsso", "sendpkg", "sendts", "tdvcsso", "uisas", "uvrfydmn"),
    }
)
"""Actions, types and object types whose meaning is not published. The words are our reading of the code."""

_SUCCESSES = frozenset({"success", "firewall_reported_success"})


class DocumentedAction(NamedTuple):
    """A documented code and its words. `kind` is the object type or the category; item usages have none."""

    api: str
    kind: str
    action: str
    words: str

    @property
    def is_certain(self) -> bool:
        """False if the words are our reading of the code alone."""
        return not UNCERTAIN & {self.kind, self.action}


def describe(api: str, kind: str | None, action: str | None) -> str:
    """Return the words of an event's codes, or the codes themselves if one of them is not documented.

    `api` is `sign-in`, `itemUsage` or `audit`. `kind` is the category of a sign-in attempt or the object type of an
    audit event, `action` the type of a sign-in attempt or the action of an event. Both come from outside.
    """
    if api == SIGN_IN:
        return describe_sign_in(kind, action)
    return describe_item_usage(action) if api == ITEM_USAGE else describe_audit(kind, action)


def describe_audit(object_type: str | None, action: str | None) -> str:
    """Return what the actor did, such as "gave a person access to a vault"."""
    if object_type not in OBJECTS or action not in AUDITS:
        return _codes(object_type, action)
    return PAIRS.get((object_type, action)) or AUDITS[action].format(object=OBJECTS[object_type])


def describe_sign_in(category: str | None, kind: str | None) -> str:
    """Return how an attempt to sign in ended, and why: "could not sign in: wrong account password or Secret Key"."""
    if category not in CATEGORIES or (kind and kind not in TYPES):
        return _codes(category, kind)
    how = TYPES[kind] if kind else ""
    if not how:
        return CATEGORIES[category]
    return f"{CATEGORIES[category]}{', ' if category in _SUCCESSES else ': '}{how}"


def describe_reason(kind: str | None) -> str:
    """Return why an attempt to sign in failed, from its type."""
    return TYPES.get(kind or "") or kind or ""


def describe_item_usage(action: str | None) -> str:
    """Return what the user did with an item."""
    return ITEM_USAGES.get(action or "") or _codes(action)


def catalogue() -> Iterator[DocumentedAction]:
    """Yield every documented code with its words, in the order of the documentation."""
    for category, kinds in SIGN_IN_TYPES.items():
        for kind in kinds:
            yield DocumentedAction(SIGN_IN, category, kind, describe_sign_in(category, kind))
    for action in ITEM_ACTIONS:
        yield DocumentedAction(ITEM_USAGE, "", action, describe_item_usage(action))
    for object_type, actions in AUDIT_ACTIONS.items():
        for action in actions.split():
            yield DocumentedAction(AUDIT, object_type, action, describe_audit(object_type, action))


def _codes(*codes: str | None) -> str:
    return " ".join(code for code in codes if code) or "unknown"
