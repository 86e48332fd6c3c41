#!lua
-- event_replay: put events of the history into the schedule of one endpoint, as a step of a job.
--
-- KEYS  1 due   2 lane   3 dead   4 endpoints with dead letters   5 the job   then the events
-- ARGV  1 endpoint id   2 the job's owner   3 number of this step of the job   4 its cursor behind this
--       step   5 events it passed over
--       then for each event: its id, its record ("" = it is a dead letter of the endpoint), delivery
--       state
-- Reply {status, now in ms, how many were taken, done and skipped of the job}: "ok", or "ended" when the
--       job is not to go on (cancelled, or another's), and then nothing was done. What waits in the
--       schedule already counts as skipped.
-- Cost  4-5 commands an event, and 4-6.
-- Guarantee: as dead_replay. What it adds takes memory, so it is refused as a whole when there is none.
--       An event that was history has no expiry while it waits; what it knows of a finished delivery
--       stays until that has finished again (settle.lua).

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = tonumber(ARGV[3])

local is = redis.call('HMGET', KEYS[5], 'status', 'owner', 'step', 'done', 'skipped')
if is[1] ~= 'running' or is[2] ~= ARGV[2] then
    return {'ended', now, 0, 0, 0}
end
if tonumber(is[3]) >= step then
    return {'ok', now, 0, tonumber(is[4]), tonumber(is[5])}
end

local taken, asked = 0, (#ARGV - 5) / 3
local due = now + 1 -- for the reason that settle.lua has
for i = 1, asked do
    local hash, event, record, state = KEYS[5 + i], ARGV[3 * i + 3], ARGV[3 * i + 4], ARGV[3 * i + 5]
    local free
    if record == '' then
        free = redis.call('ZREM', KEYS[3], event) == 1
    else
        free = redis.call('HEXISTS', hash, ARGV[1]) == 0
        if free then
            redis.call('HSETNX', hash, 'e', record)
            redis.call('PERSIST', hash)
        end
    end
    if free then
        taken = taken + 1
        redis.call('HSET', hash, ARGV[1], state)
        redis.call('ZADD', KEYS[1], due, event)
    end
end
if taken > 0 then
    redis.call('ZADD', KEYS[2], 'LT', due, ARGV[1])
    if redis.call('EXISTS', KEYS[3]) == 0 then
        redis.call('ZREM', KEYS[4], ARGV[1])
    end
end
redis.call('HSET', KEYS[5], 'step', step, 'cursor', ARGV[4], 'updated', now)
return {'ok', now, taken, redis.call('HINCRBY', KEYS[5], 'done', taken),
        redis.call('HINCRBY', KEYS[5], 'skipped', ARGV[5] + asked - taken)}
