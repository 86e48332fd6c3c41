#!lua flags=allow-oom
-- dead_replay: put dead letters of one endpoint back into the schedule, or drop them; and with them
-- record how far the job is that asked for it.
--
-- KEYS  1 dead   2 due   3 lane   4 endpoints with dead letters   then for each dead letter: its event,
--       its batch's blob, its batch's outcomes; and at the end the job, if there is one
-- ARGV  1 endpoint id   2 "replay" or "discard"   3 the job's owner ("" = there is no job)
--       4 number of this step of the job   5 its cursor behind this step   6 letters it passed over
--       then for each dead letter: event id, delivery state (replay) or outcome record (discard),
--       offset of its outcome record
-- Reply {status, now in ms, how many were taken, done and skipped of the job}: "ok"; "gone" when none
--       of them is among the dead letters (any more); "ended" when the job is not to go on (cancelled,
--       or another's), and then nothing was done.
-- Cost  3-6 commands a letter, 1 more for a discarded one, and 2-5.
-- Guarantee: a job's step and its record are one. A repeated step does nothing and answers with what is
--       recorded; without a job a repeated call finds the letters gone.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local job, owner, step = KEYS[#KEYS], ARGV[3], tonumber(ARGV[4])

if owner ~= '' then
    local is = redis.call('HMGET', job, 'status', 'owner', 'step', 'done', 'skipped')
    if is[1] ~= 'running' or is[2] ~= owner then
        return {'ended', now, 0, 0, 0}
    end
    if tonumber(is[3]) >= step then
        return {'ok', now, 0, tonumber(is[4]), tonumber(is[5])}
    end
end

local taken, asked = 0, (#ARGV - 6) / 3
for i = 1, asked do
    local event, bytes, offset = ARGV[3 * i + 4], ARGV[3 * i + 5], ARGV[3 * i + 6]
    local hash, blob, outcomes = KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4]
    if redis.call('ZREM', KEYS[1], event) == 1 then
        taken = taken + 1
        if ARGV[2] == 'replay' then
            redis.call('HSET', hash, ARGV[1], bytes)
            redis.call('ZADD', KEYS[2], now, event)
        else
            redis.call('HDEL', hash, ARGV[1])
            if redis.call('HLEN', hash) <= 1 then
                redis.call('UNLINK', hash)
            end
            if redis.call('EXISTS', blob) == 1 then -- else its outcomes are gone as well
                redis.call('SETRANGE', outcomes, offset, bytes)
            end
        end
    end
end
if taken > 0 then
    if ARGV[2] == 'replay' then
        redis.call('ZADD', KEYS[3], 'LT', now, ARGV[1])
    end
    if redis.call('EXISTS', KEYS[1]) == 0 then
        redis.call('ZREM', KEYS[4], ARGV[1])
    end
end

if owner == '' then
    return {taken > 0 and 'ok' or 'gone', now, taken, 0, 0}
end
redis.call('HSET', job, 'step', step, 'cursor', ARGV[5], 'updated', now)
return {'ok', now, taken, redis.call('HINCRBY', job, 'done', taken),
        redis.call('HINCRBY', job, 'skipped', ARGV[6] + asked - taken)}
