#!/bin/sh
# Kafka's permissions, with a user per service: an example for a broker with an authoriser.
#   BOOTSTRAP=kafka:9092 ADMIN=admin.properties sh deploy/kafka/acls.sh
# `--create` is needed only where workers make their topics themselves.
set -eu

acl() { kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN" --add --force "$@"; }

topics="storefront.checkouts.v1 checkout.commands.v1 orders.events.v1 orders.status.v1 stores.status.v1 payments.commands.v1
  payments.callbacks.v1 payments.events.v1 payments.status.v1 fulfillment.commands.v1 fulfillment.events.v1 deliveries.status.v1 notifications.commands.v1 notifications.events.v1
  messages.status.v1 staff.commands.v1 staff.events.v1"
group() { acl --allow-principal "User:$1" --operation Read --operation Describe --group "$2"; }
reads() { user=$1; shift; for topic in "$@"; do acl --allow-principal "User:$user" --operation Read --topic "$topic"; done; }
writes() { user=$1; shift; for topic in "$@"; do acl --allow-principal "User:$user" --operation Write --topic "$topic"; done; }
relays() { acl --allow-principal "User:$1" --operation Write --operation Describe --transactional-id "orderbus-$1-relay"; }

# Every user: partitions and retention of all topics are compared at the start.
for user in checkout payments fulfillment notifications staff monitor tools; do
  for topic in $topics; do
    acl --allow-principal "User:$user" --operation Describe --operation DescribeConfigs --operation Create --topic "$topic"
  done
done

for service in checkout payments fulfillment notifications staff; do
  group "$service" "$service"
  relays "$service"
  acl --allow-principal "User:$service" --operation Describe --operation DescribeConfigs --operation Create \
    --operation Write --topic "$service.dead-letter.v1"   # for what is parked
  acl --allow-principal "User:$service" --operation IdempotentWrite --operation Describe --cluster
done

reads checkout storefront.checkouts.v1 checkout.commands.v1 payments.events.v1 fulfillment.events.v1
writes checkout checkout.commands.v1 orders.events.v1 orders.status.v1 stores.status.v1 payments.commands.v1 fulfillment.commands.v1
reads payments payments.commands.v1 payments.callbacks.v1 orders.events.v1
writes payments payments.commands.v1 payments.callbacks.v1 payments.events.v1 payments.status.v1
reads fulfillment fulfillment.commands.v1 orders.events.v1
writes fulfillment fulfillment.commands.v1 payments.commands.v1 fulfillment.events.v1 deliveries.status.v1
reads notifications notifications.commands.v1 orders.events.v1 stores.status.v1
writes notifications notifications.commands.v1 notifications.events.v1 messages.status.v1
reads staff staff.commands.v1 orders.events.v1 orders.status.v1 payments.events.v1 payments.status.v1 fulfillment.events.v1
reads staff deliveries.status.v1 notifications.events.v1 messages.status.v1 stores.status.v1   # into read models, in a group of its own
group staff staff-projection
writes staff staff.events.v1 staff.commands.v1

reads monitor orders.status.v1 payments.status.v1
group monitor orderbus-monitor-0

# `orderbus check` reads all topics, and how far the groups have read.
reads tools $topics
for service in checkout payments fulfillment notifications staff; do group tools "$service"; done
group tools staff-projection
