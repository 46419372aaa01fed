#!/bin/sh
# Writes the secrets of compose.postgresql.yaml into ./secrets, once. A file that exists stays as it is.
#
# The directory is yours alone (0700). The files in it are readable (0444), because the containers run as other users,
# and each sees only the files that it is given.
set -eu

directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"
chmod 0700 "$directory"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }
password() { random | tr -d '='; }

write() { # NAME VALUE
    [ -e "$directory/$1" ] && return
    (umask 022 && printf '%s\n' "$2" >"$directory/$1.part" && chmod 0444 "$directory/$1.part")
    mv "$directory/$1.part" "$directory/$1"
}

write database_password "$(password)"
database=$(cat "$directory/database_password")
write store_url "postgresql://postgres:$database@database:5432/events"
write prefect_database_url "postgresql+asyncpg://postgres:$database@database:5432/prefect"
write api_auth_string "admin:$(password)"
write encryption_key "$(random)"
write console_password "$(password)"
write console_viewer_password "$(password)"
echo "The secrets are in $directory. Keep a copy of encryption_key apart from the database's backups."
