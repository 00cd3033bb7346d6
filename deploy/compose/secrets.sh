#!/bin/sh
# Makes the secrets of compose.yaml that can be made up, in deploy/compose/secrets; those that are there stay as they are.
# Others come from outside: write them there, too (`stripe-api-key`, `stripe-webhook-secret`, `smtp-password`).
set -eu
folder="${1:-$(dirname "$0")/secrets}"
mkdir -p "$folder"
chmod 700 "$folder"

# Readable in the containers, whose users are others than yours; the folder keeps other users of this machine out.
keep() { [ -e "$folder/$1" ] || { printf '%s\n' "$2" > "$folder/$1" && chmod 444 "$folder/$1"; }; }
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in api-token postgres-password grafana-password link-secret data-keys feed-secret pay-keys assertion-keys; do
    keep "$name" "$(random)"
done
for service in checkout payments fulfillment notifications staff; do
    keep "$service-database-url" "postgresql://$service:$(random)@postgres:5432/$service"
done
for name in stripe-api-key stripe-webhook-secret smtp-password; do
    [ -e "$folder/$name" ] || echo "Write this one yourself: $folder/$name"
done
