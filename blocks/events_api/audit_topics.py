"""Which audit events change the security of an account, and which change who has access to what."""

from __future__ import annotations

SECURITY_ACTIONS = frozenset(
    {
        *("enblmfa", "disblmfa", "updatmfa", "enblduo", "disblduo", "updatduo"),  # two-factor authentication
        *("enblsso", "disblsso", "chngpsso", "chngasso", "chngdsso", "addgsso", "delgsso"),  # single sign-on
        *("updatfw", "vrfydmn", "uvrfydmn", "dvrfydmn"),  # firewall rules and domains
    }
)
"""Actions that change the security of the account or of a user, whatever their object."""
SECURITY_TYPES = frozenset({"sa", "satoken", "slackapp"})
"""Object types all of whose actions do: service accounts, their tokens, integrations."""
ACCESS_TYPES = frozenset({"uva", "gva", "gm"})
"""Object types of access: of a person to a vault, of a group to a vault, of a person to a group."""
ROLES = {"R": "member", "A": "manager"}
"""What `aux_info` means for a group's member."""
