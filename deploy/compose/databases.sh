#!/bin/sh
# Run once by the postgres image on an empty volume: a database and a role of its own for every service.
set -eu
for service in checkout payments fulfillment notifications staff; do
    password="$(sed 's|^postgresql://[^:]*:||; s|@.*$||' "/run/secrets/$service-database-url")"
    psql --set ON_ERROR_STOP=1 --username postgres --set name="$service" --set password="$password" <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done
