#!lua flags=allow-oom
-- bury: forget a dead replica once its journal is empty.
--
-- KEYS  1 replicas   2 journals   3 its journal
-- ARGV  1 its incarnation   2 "leave": it is myself who stops, and my lease need not have ended
-- Reply "ok", "alive" (its lease has not ended) or "busy" (its journal is not empty yet).
-- Cost  4 commands.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[2] ~= 'leave' and lease and tonumber(lease) > now then
    return 'alive'
end
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('ZCARD', KEYS[3]) > 0 then
    return 'busy'
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 'ok'
