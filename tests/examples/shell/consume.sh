#!/bin/sh
# Takes the events of a webhook of kind redis-stream, as one of a group of workers. Needs redis-cli 7.
#
#     consume.sh orders stock worker-1        stream, group, and this worker's name in it
#
# What it took and did not finish is found again when it is started under the same name. (What workers
# took that never come back: XAUTOCLAIM, see ../python/consume.py.)
set -eu

key="tl:{0}:out:$1" group=$2 me=$3
redis() {
    redis-cli -e -u "${REDIS_URL:-redis://localhost:6379}" "$@"
}

work() { # EVENT: here goes what is to be done with the event, which is JSON
    printf '%s\n' "$1"
}

redis XGROUP CREATE "$key" "$group" 0 MKSTREAM >/dev/null 2>&1 || redis XINFO GROUPS "$key" >/dev/null

from=0 # first what is unfinished, then what is new
while :; do
    # Line by line: the stream, the entry's id, then names and values of its fields, `e` the last one.
    entry=$(redis XREADGROUP GROUP "$group" "$me" COUNT 1 BLOCK 1000 STREAMS "$key" "$from")
    entry_id=$(printf '%s\n' "$entry" | sed -n 2p)
    if [ -z "$entry_id" ]; then
        from='>'
        continue
    fi
    event=$(printf '%s\n' "$entry" | sed '1,/^e$/d')
    if [ -n "$event" ]; then # else it was trimmed before it was finished
        work "$event"
    fi
    redis XACK "$key" "$group" "$entry_id" >/dev/null
done
