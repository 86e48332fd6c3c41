#!lua
-- job_put: keep a new job, to be run by its owner.
--
-- KEYS  1 jobs (zset: "inf" as long as the job is not finished, then when it expires)   2 the job (hash)
--       3 a finished job that may make room
-- ARGV  1 its id   2 its owner   3 what it is to do   4 most jobs to be kept   5 id of the job that may
--       make room, or "" (and then there is no third key)   6 "running", or "queued" behind others
-- Reply {status, now in ms}: "ok", or "full". now is the job's `created`: what happens later is not its
--       business.
-- Cost  6-8 commands. A repeated call answers the same.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local created = redis.call('HGET', KEYS[2], 'created')
if created then
    return {'ok', tonumber(created)}
end
local most = tonumber(ARGV[4])
if ARGV[5] ~= '' then
    local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[5]) or math.huge)
    if expiry < math.huge and (expiry <= now or redis.call('ZCARD', KEYS[1]) >= most) then
        redis.call('ZREM', KEYS[1], ARGV[5])
        redis.call('UNLINK', KEYS[3])
    end
end
if redis.call('ZCARD', KEYS[1]) >= most then
    return {'full', now}
end
redis.call('HSET', KEYS[2], 'status', ARGV[6], 'owner', ARGV[2], 'spec', ARGV[3], 'created', now,
           'updated', now, 'step', 0, 'cursor', '', 'done', 0, 'skipped', 0)
redis.call('ZADD', KEYS[1], '+inf', ARGV[1])
return {'ok', now}
