#!lua flags=allow-oom
-- job_end: finish a job: it has done all, it cannot go on, or somebody cancels it.
--
-- KEYS  1 jobs   2 the job
-- ARGV  1 its id   2 "done", "failed" or "cancelled"   3 its owner ("" = whoever it is)   4 why it failed
--       5 how long it is kept in ms
-- Reply {status, now in ms, field, value, ...}: "ok"; "ended" when it was finished already, or is
--       another's; "missing". With the whole job, but for "missing".
-- Cost  3-6 commands. A repeated call changes nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local is = redis.call('HMGET', KEYS[2], 'status', 'owner')
if not is[1] then
    return {'missing', now}
end
local open = is[1] == 'queued' or is[1] == 'running'
if not open or (ARGV[3] ~= '' and is[2] ~= ARGV[3]) then
    return {'ended', now, unpack(redis.call('HGETALL', KEYS[2]))}
end
redis.call('HSET', KEYS[2], 'status', ARGV[2], 'updated', now, 'finished', now)
if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[2], 'error', ARGV[4])
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[1], now + ARGV[5], ARGV[1])
return {'ok', now, unpack(redis.call('HGETALL', KEYS[2]))}
