#!lua flags=allow-oom
-- job_take: begin a job, or go on with one that I or a dead replica left.
--
-- KEYS  1 the job   2 replicas (zset, score = end of the lease)
-- ARGV  1 my incarnation
-- Reply {status, now in ms, field, value, ...}: "ok" and the whole job; "alive" (its owner is, and is
--       not me); "ended" (finished, or gone).
-- Cost  3-4 commands. A repeated call answers the same.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local is = redis.call('HMGET', KEYS[1], 'status', 'owner')
if is[1] ~= 'queued' and is[1] ~= 'running' then
    return {'ended', now}
end
if is[2] ~= ARGV[1] then
    local lease = redis.call('ZSCORE', KEYS[2], is[2])
    if lease and tonumber(lease) > now then
        return {'alive', now}
    end
end
redis.call('HSET', KEYS[1], 'status', 'running', 'owner', ARGV[1])
return {'ok', now, unpack(redis.call('HGETALL', KEYS[1]))}
