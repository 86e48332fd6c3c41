#!/bin/sh
# Changes data and tells of it in one transaction: nobody sees one without the other, and what Redis does
# not take (no memory, no right) undoes both. Needs redis-cli.
#
#     outbox.sh 17 9.90
#
# redis-cli reads commands from standard input, one a line, quoted as in C: \" is a quote.
set -eu

number=$1 total=$2

answers=$(redis-cli -u "${REDIS_URL:-redis://localhost:6379}" <<END
MULTI
HSET shop:order:$number total "$total" state created
XADD tl:{0}:feed * e "{\"type\":\"order.created\",\"data\":{\"order\":$number,\"total\":\"$total\"}}" k order-$number-created
EXEC
END
)
case $(printf '%s\n' "$answers" | tail -n 1) in
'' | *[!0-9-]*) # the last answer is no entry's id
    printf '%s\n' "$answers" >&2
    exit 1
    ;;
esac
