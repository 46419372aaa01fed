"""One SQL view per API, with one column per documented member of its events."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

CLIENT = (
    "client.app_name",
    "client.app_version",
    "client.platform_name",
    "client.platform_version",
    "client.os_name",
    "client.os_version",
    "client.ip_address",
)
LOCATION = ("location.country", "location.region", "location.city", "location.latitude", "location.longitude")


def _person(member: str) -> tuple[str, ...]:
    return tuple(f"{member}.{part}" for part in ("uuid", "name", "email"))


def _user(member: str) -> tuple[str, ...]:
    return (*_person(member), f"{member}.user_type", f"{member}.user_account_uuid")


MEMBERS = {
    ("sign_in_attempts", "sign-in"): (
        "session_uuid",
        "category",
        "type",
        "country",
        "details.value",
        *_user("target_user"),
        *CLIENT,
        *LOCATION,
    ),
    ("item_usages", "itemUsage"): (
        "used_version",
        "vault_uuid",
        "item_uuid",
        "action",
        *_user("user"),
        *CLIENT,
        *LOCATION,
    ),
    ("audit_events", "audit"): (
        "actor_uuid",
        *_user("actor_details"),
        "actor_type",
        "actor_account_uuid",
        "action",
        "object_type",
        "object_uuid",
        *_person("object_details"),
        "aux_id",
        "aux_uuid",
        *_person("aux_details"),
        "aux_info",
        "session.uuid",
        "session.login_time",
        "session.device_uuid",
        "session.ip",
        *LOCATION,
    ),
}
WHOLE = ("used_version", "aux_id")
NUMBER = ("location.latitude", "location.longitude")

FROM = """
FROM events e JOIN streams s ON s.id = e.stream_id JOIN sources o ON o.id = s.source_id
LEFT JOIN legible_bodies l ON l.stream_id = e.stream_id AND l.uuid = e.uuid"""


def upgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    for (view, api), members in MEMBERS.items():
        op.execute(_sqlite_view(view, api, members) if sqlite else _postgresql_view(view, api, members))


def _column(member: str) -> str:
    return member.replace(".", "_")


def _sqlite_view(view: str, api: str, members: tuple[str, ...]) -> str:
    columns = ",\n  ".join(f"json_extract(j, '$.{member}') AS {_column(member)}" for member in members)
    return f"""
CREATE VIEW {view} AS SELECT
  id, source, uuid, json_extract(j, '$.timestamp') AS timestamp,
  strftime('%Y-%m-%dT%H:%M:%S', (time_ns - ((time_ns % 1000000000) + 1000000000) % 1000000000) / 1000000000,
    'unixepoch') || printf('.%09dZ', ((time_ns % 1000000000) + 1000000000) % 1000000000) AS time,
  strftime('%Y-%m-%dT%H:%M:%fZ', received_ns / 1e9, 'unixepoch') AS received,
  coalesce(json_extract(j, '$.account_uuid'), known_account) AS account_uuid,
  {columns},
  body
FROM (
  SELECT e.id, o.name AS source, o.account_uuid AS known_account, e.uuid, e.time_ns, e.received_ns, e.body,
    coalesce(l.body, e.body) AS j
  {FROM}
  WHERE s.api = '{api}'
)"""  # noqa: S608 - constants of this file


def _postgresql_view(view: str, api: str, members: tuple[str, ...]) -> str:
    columns = ",\n  ".join(f"{_postgresql_value(member)} AS {_column(member)}" for member in members)
    return f"""
CREATE VIEW {view} AS SELECT
  e.id, o.name AS source, e.uuid, j ->> 'timestamp' AS timestamp,
  to_timestamp(0) + (e.time_ns / 1000) * interval '1 microsecond' AS time,
  to_timestamp(0) + (e.received_ns / 1000) * interval '1 microsecond' AS received,
  coalesce(j ->> 'account_uuid', o.account_uuid) AS account_uuid,
  {columns},
  e.body
{FROM}
CROSS JOIN LATERAL (SELECT coalesce(l.body, e.body)::json AS j OFFSET 0) b
WHERE s.api = '{api}'"""


def _postgresql_value(member: str) -> str:
    value = "j #>> '{" + member.replace(".", ",") + "}'"
    if member in WHOLE:
        return f"CASE WHEN {value} ~ '^-?[0-9]{{1,18}}$' THEN ({value})::bigint END"
    if member in NUMBER:
        return f"CASE WHEN {value} ~ '^-?[0-9]{{1,9}}([.][0-9]{{1,30}})?$' THEN ({value})::double precision END"
    return value
