#!lua flags=allow-oom
-- job_step: record how far a job is, when it has nothing to do to what it has seen.
--
-- KEYS  1 the job
-- ARGV  1 its owner   2 number of this step   3 its cursor behind this step   4 what it passed over
--       5 how much there is to do in all ("" = as it was)
-- Reply {status, now in ms, 0, done, skipped}: "ok", or "ended" when the job is not to go on (cancelled,
--       or another's).
-- Cost  4-5 commands. A repeated step does nothing and answers with what is recorded.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local is = redis.call('HMGET', KEYS[1], 'status', 'owner', 'step', 'done', 'skipped')
if is[1] ~= 'running' or is[2] ~= ARGV[1] then
    return {'ended', now, 0, 0, 0}
end
if tonumber(is[3]) >= tonumber(ARGV[2]) then
    return {'ok', now, 0, tonumber(is[4]), tonumber(is[5])}
end
redis.call('HSET', KEYS[1], 'step', ARGV[2], 'cursor', ARGV[3], 'updated', now)
if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[1], 'total', ARGV[5])
end
return {'ok', now, 0, tonumber(is[4]), redis.call('HINCRBY', KEYS[1], 'skipped', ARGV[4])}
