"""The class and activity of an audit event, by its object type and action.

The object type determines the class, and the action the activity of that class. A documented action without an activity
in its class is `Other`, with 1Password's own word as its `activity_name`; so is an action whose meaning is not
published. An undocumented type or action is Entity Management, `Other`. Without an action it is `Unknown`.

Access of a group (gva) is Group Management, because User Access Management requires a user.
"""

from __future__ import annotations

from blocks.siem.formats.ocsf.activity import OTHER, UNKNOWN, Activity, OcsfClass

ENTITY = OcsfClass.ENTITY_MANAGEMENT

CLASSES: dict[str, OcsfClass] = {
    **dict.fromkeys(("user",), OcsfClass.ACCOUNT_CHANGE),
    **dict.fromkeys(("uva",), OcsfClass.USER_ACCESS),
    **dict.fromkeys(("gm", "group", "gva"), OcsfClass.GROUP_MANAGEMENT),
    **dict.fromkeys(
        (
            *("account", "card", "cred", "device", "dlgdsess", "ec", "famchild", "file", "invite", "item", "itemhist"),
            *("items", "miguser", "mngdacc", "pm", "report", "sa", "satoken", "slackapp", "sso", "ssotkn", "sub"),
            *("template", "vault", "vaultkey"),
        ),
        ENTITY,
    ),
}
"""The class by object type."""

Row = tuple[int, str, str]

TABLE: dict[OcsfClass, tuple[Row, ...]] = {
    OcsfClass.ACCOUNT_CHANGE: (
        (1, "Create", "create"),
        (2, "Enable", "activate reactive"),
        (3, "Password Change", "changemp"),
        (5, "Disable", "suspend"),
        (6, "Delete", "delete"),
        (10, "MFA Factor Enable", "enblmfa enblduo"),
        (11, "MFA Factor Disable", "disblmfa disblduo"),
        (
            OTHER,
            "Other",
            (
                "begin beginr cancel cancelr changeks changela changenm changesk complete completr convert musercom"
                " muserdec prsndall provsn reauth sendpkg trvlaway trvlback updatmfa upguest"
            ),
        ),
    ),
    OcsfClass.USER_ACCESS: (
        (1, "Assign Privileges", "grant"),
        (2, "Revoke Privileges", "revoke"),
        (OTHER, "Other", "update"),  # it may add or remove privileges
    ),
    OcsfClass.GROUP_MANAGEMENT: (
        (1, "Assign Privileges", "grant role"),
        (2, "Revoke Privileges", "revoke"),
        (3, "Add User", "join"),
        (4, "Remove User", "leave"),
        (5, "Delete", "delete purge"),
        (6, "Create", "create"),
        (OTHER, "Other", "changenm update"),
    ),
    ENTITY: (
        (1, "Create", "create dlgsess"),
        (2, "Read", "export view"),
        (
            3,
            "Update",
            (
                "addgsso changeks changela changemp changenm changesk chngasso chngdsso chngpsso delgsso disblduo"
                " disblmfa disblsso dvrfydmn enblduo enblmfa enblsso patch replace role trename uisas updatduo update"
                " updatea updatfw updatmfa uvrfydmn vrfydmn"
            ),
        ),
        (4, "Delete", "dealldev delete deolddev purge"),
        (9, "Disable", "revoke trevoke"),
        (10, "Activate", "activate"),
        (11, "Deactivate", "expire"),
        (12, "Suspend", "suspend"),
        (13, "Resume", "reactive"),
        (
            OTHER,
            "Other",
            (
                "begin beginr cancel cancelr complete completr convert delshare detchild grant hide join launchi leave"
                " musercom muserdec propose provsn prsndall rdmchild reauth resendts sdvcsso sendpkg sendts share"
                " ssotknv tdvcsso trvlaway trvlback tverify unhide unknown unlink upguest verify"
            ),
        ),
    ),
}
"""The activities by class: number, caption, and the actions that map to it."""


def _activities(rows: tuple[Row, ...], ocsf_class: OcsfClass) -> dict[str, Activity]:
    return {action: Activity(ocsf_class, uid, name) for uid, name, actions in rows for action in actions.split()}


_ACTIVITIES = {ocsf_class: _activities(rows, ocsf_class) for ocsf_class, rows in TABLE.items()}
_KNOWN = _ACTIVITIES[ENTITY]  # all documented actions
_OTHERS = {ocsf_class: Activity(ocsf_class, OTHER, "Other") for ocsf_class in OcsfClass}
ABSENT = Activity(ENTITY, UNKNOWN, "Unknown")


def find_activity(object_type: object, action: object) -> Activity:
    """Return the activity of an audit event. Both parameters may have any type."""
    if not isinstance(action, str) or not action:
        return ABSENT
    if not isinstance(object_type, str) or object_type not in CLASSES or action not in _KNOWN:
        return _OTHERS[ENTITY]
    ocsf_class = CLASSES[object_type]
    return _ACTIVITIES[ocsf_class].get(action) or _OTHERS[ocsf_class]
