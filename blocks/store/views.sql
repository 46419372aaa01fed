-- The views that users query: one for each API, with one column for each documented member of its events.
--
-- To add a column: add a line at the end of its view, and a migration in migrations/versions, which may be empty. The
-- views are made again from this file after each migration. PostgreSQL replaces a view in place, with the privileges
-- on it and the views built on it, as long as the columns it had keep their names and their order.
--
-- The databases differ in a few expressions. views.py writes them:
--
--   events_of(API)     the events of an API: id, source, source_account, uuid, time_ns, received_ns, body
--   text(a.b)          the member b of the member a of the body, as text
--   integer(a.b)       the same as an integer; on PostgreSQL NULL where it is none
--   decimal(a.b)       the same as a number; on PostgreSQL NULL where it is none
--   time(COLUMN)       nanoseconds since 1970 as a UTC time: text with nine digits on SQLite, a timestamptz on PostgreSQL
--   receipt(COLUMN)    the same with three digits on SQLite

CREATE VIEW sign_in_attempts AS SELECT
  id,
  source,
  uuid,
  text(timestamp) AS timestamp,
  time(time_ns) AS time,
  receipt(received_ns) AS received,
  coalesce(text(account_uuid), source_account) AS account_uuid,
  text(session_uuid) AS session_uuid,
  text(category) AS category,
  text(type) AS type,
  text(country) AS country,
  text(details.value) AS details_value,
  text(target_user.uuid) AS target_user_uuid,
  text(target_user.name) AS target_user_name,
  text(target_user.email) AS target_user_email,
  text(target_user.user_type) AS target_user_user_type,
  text(target_user.user_account_uuid) AS target_user_user_account_uuid,
  text(client.app_name) AS client_app_name,
  text(client.app_version) AS client_app_version,
  text(client.platform_name) AS client_platform_name,
  text(client.platform_version) AS client_platform_version,
  text(client.os_name) AS client_os_name,
  text(client.os_version) AS client_os_version,
  text(client.ip_address) AS client_ip_address,
  text(location.country) AS location_country,
  text(location.region) AS location_region,
  text(location.city) AS location_city,
  decimal(location.latitude) AS location_latitude,
  decimal(location.longitude) AS location_longitude,
  body
FROM events_of(sign-in);

CREATE VIEW item_usages AS SELECT
  id,
  source,
  uuid,
  text(timestamp) AS timestamp,
  time(time_ns) AS time,
  receipt(received_ns) AS received,
  coalesce(text(account_uuid), source_account) AS account_uuid,
  integer(used_version) AS used_version,
  text(vault_uuid) AS vault_uuid,
  text(item_uuid) AS item_uuid,
  text(action) AS action,
  text(user.uuid) AS user_uuid,
  text(user.name) AS user_name,
  text(user.email) AS user_email,
  text(user.user_type) AS user_user_type,
  text(user.user_account_uuid) AS user_user_account_uuid,
  text(client.app_name) AS client_app_name,
  text(client.app_version) AS client_app_version,
  text(client.platform_name) AS client_platform_name,
  text(client.platform_version) AS client_platform_version,
  text(client.os_name) AS client_os_name,
  text(client.os_version) AS client_os_version,
  text(client.ip_address) AS client_ip_address,
  text(location.country) AS location_country,
  text(location.region) AS location_region,
  text(location.city) AS location_city,
  decimal(location.latitude) AS location_latitude,
  decimal(location.longitude) AS location_longitude,
  body
FROM events_of(itemUsage);

CREATE VIEW audit_events AS SELECT
  id,
  source,
  uuid,
  text(timestamp) AS timestamp,
  time(time_ns) AS time,
  receipt(received_ns) AS received,
  coalesce(text(account_uuid), source_account) AS account_uuid,
  text(actor_uuid) AS actor_uuid,
  text(actor_details.uuid) AS actor_details_uuid,
  text(actor_details.name) AS actor_details_name,
  text(actor_details.email) AS actor_details_email,
  text(actor_details.user_type) AS actor_details_user_type,
  text(actor_details.user_account_uuid) AS actor_details_user_account_uuid,
  text(actor_type) AS actor_type,
  text(actor_account_uuid) AS actor_account_uuid,
  text(action) AS action,
  text(object_type) AS object_type,
  text(object_uuid) AS object_uuid,
  text(object_details.uuid) AS object_details_uuid,
  text(object_details.name) AS object_details_name,
  text(object_details.email) AS object_details_email,
  integer(aux_id) AS aux_id,
  text(aux_uuid) AS aux_uuid,
  text(aux_details.uuid) AS aux_details_uuid,
  text(aux_details.name) AS aux_details_name,
  text(aux_details.email) AS aux_details_email,
  text(aux_info) AS aux_info,
  text(session.uuid) AS session_uuid,
  text(session.login_time) AS session_login_time,
  text(session.device_uuid) AS session_device_uuid,
  text(session.ip) AS session_ip,
  text(location.country) AS location_country,
  text(location.region) AS location_region,
  text(location.city) AS location_city,
  decimal(location.latitude) AS location_latitude,
  decimal(location.longitude) AS location_longitude,
  body
FROM events_of(audit);
