#!lua flags=allow-oom
-- bury: forget a dead replica once its journal is empty; or leave.
--
-- KEYS  1 replicas   2 journals   3 its journal   4 lanes (hash: lane -> its owner)   5 membership
--       6 what is told of each replica (hash)   7 handover (hash: lane -> state)
-- ARGV  1 its incarnation   2 "leave": it is myself who stops, and my lease need not have ended
--       3 the channel that all hear
-- Reply "ok", "alive" (its lease has not ended) or "busy" (its journal is not empty yet).
-- Cost  5-11 commands.
-- Guarantee: unless it lives it is no member afterwards and owns no lane. Whoever leaves keeps what it
--       has released with a state; a state that a dead one left unread is dropped, as heartbeat does.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local leave = ARGV[2] == 'leave'

local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not leave and lease and tonumber(lease) > now then
    return 'alive'
end
local map, freed = redis.call('HGETALL', KEYS[4]), {}
for i = 1, #map, 2 do
    if map[i + 1] == ARGV[1] then
        freed[#freed + 1] = map[i]
    end
end
if #freed > 0 then
    redis.call('HDEL', KEYS[4], unpack(freed))
    if not leave then
        redis.call('HDEL', KEYS[7], unpack(freed))
    end
end
if redis.call('ZREM', KEYS[1], ARGV[1]) + #freed > 0 then
    redis.call('HDEL', KEYS[6], ARGV[1])
    redis.call('HDEL', KEYS[5], 'taken:' .. ARGV[1], 'joined:' .. ARGV[1])
    local version = math.max((redis.call('HGET', KEYS[5], 'version') or 0) + 1, now)
    redis.call('HSET', KEYS[5], 'version', version)
    redis.pcall('PUBLISH', ARGV[3], 'l' .. version)
end
if redis.call('ZCARD', KEYS[3]) > 0 then
    return 'busy'
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 'ok'
