#!lua flags=allow-oom
-- dead_replay: put one dead letter back into the schedule, or drop it.
--
-- KEYS  1 dead   2 due   3 lane   4 event   5 endpoints with dead letters   6 batch blob   7 outcomes
-- ARGV  1 event id   2 endpoint id   3 "replay" or "discard"   4 delivery state (replay)
--       5 offset of its outcome record, 6 the record (discard)
-- Reply {status, now in ms}: "ok", or "gone" when it is not among the dead letters (any more).
-- Cost  6 commands.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
    return {'gone', now}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('ZREM', KEYS[5], ARGV[2])
end
if ARGV[3] == 'replay' then
    redis.call('HSET', KEYS[4], ARGV[2], ARGV[4])
    redis.call('ZADD', KEYS[2], now, ARGV[1])
    redis.call('ZADD', KEYS[3], 'LT', now, ARGV[2])
    return {'ok', now}
end
redis.call('HDEL', KEYS[4], ARGV[2])
if redis.call('HLEN', KEYS[4]) <= 1 then
    redis.call('UNLINK', KEYS[4])
end
if redis.call('EXISTS', KEYS[6]) == 1 then -- else its outcomes are gone as well
    redis.call('SETRANGE', KEYS[7], ARGV[5], ARGV[6])
end
return {'ok', now}
