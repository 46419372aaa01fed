#!/bin/sh
# The first start makes the cluster, the database and what the scripts of /docker-entrypoint-initdb.d make.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --encoding=UTF8 --locale=C.UTF-8 --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-host=scram-sha-256 --auth-local=trust >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses= -k /tmp" start >/dev/null
    createdb --host=/tmp --username=postgres "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --host=/tmp --username=postgres --set=ON_ERROR_STOP=1 --dbname="$POSTGRES_DB" --file="$script"
    done
    pg_ctl --wait --mode=fast stop >/dev/null
fi
exec postgres -c 'listen_addresses=*' -k /tmp
