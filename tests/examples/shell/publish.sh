#!/bin/sh
# Publishes an event through Redis: one XADD to Trotline's feed, no HTTP. Needs redis-cli.
#
#     publish.sh order.created '{"order": 17}'
#     publish.sh order.created '{"order": 17}' order-17-created
#
# With a key (the second form) the event is published once, however often this runs within a day.
# REDIS_URL says where Redis is; for a socket: redis-cli -s PATH instead of -u.
set -eu

type=$1 data=$2

# With -x the last word comes from standard input, as it is: nothing needs to be quoted.
printf '{"type": "%s", "data": %s}' "$type" "$data" |
    redis-cli -e -u "${REDIS_URL:-redis://localhost:6379}" -x XADD 'tl:{0}:feed' '*' ${3+k "$3"} e
