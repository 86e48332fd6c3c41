#!lua flags=allow-oom
-- dead_replay: put dead letters of one endpoint back into the schedule, or drop them; and with them
-- record how far the job is that asked for it.
--
-- KEYS  1 dead   2 due   3 lane   4 endpoints with dead letters   5 closed   6 bytes of the closed   7 ord
--       then for each dead letter: its event, its batch's blob, its batch's outcomes; and at the end
--       the job, if there is one
-- ARGV  1 endpoint id   2 "replay" or "discard"   3 the job's owner ("" = there is no job)
--       4 number of this step of the job   5 its cursor behind this step   6 letters it passed over
--       7 how long history is kept in ms (0: not)
--       then for each dead letter: event id, delivery state (replay) or outcome record (discard),
--       offset of its outcome record in its batch ("" = it has no place there), log of its attempts
--       ("" = none; discard), hash of its ordering key when its queue waits for it ("" = none; discard)
-- Reply {status, now in ms, how many were taken, done and skipped of the job, bytes of all history or
--       -1}: "ok"; "gone" when none of them is among the dead letters (any more); "ended" when the job
--       is not to go on (cancelled, or another's), and then nothing was done.
-- Cost  3 commands a letter, 6-13 a discarded one, and 2-5.
-- Guarantee: a job's step and its record are one. A repeated step does nothing and answers with what is
--       recorded; without a job a repeated call finds the letters gone. A discarded delivery is
--       finished as settle.lua says, and the next of its ordered queue is due.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local job, owner, step = KEYS[#KEYS], ARGV[3], tonumber(ARGV[4])

if owner ~= '' then
    local is = redis.call('HMGET', job, 'status', 'owner', 'step', 'done', 'skipped')
    if is[1] ~= 'running' or is[2] ~= owner then
        return {'ended', now, 0, 0, 0, -1}
    end
    if tonumber(is[3]) >= step then
        return {'ok', now, 0, tonumber(is[4]), tonumber(is[5]), -1}
    end
end

-- The end of a delivery: the outcome goes to its place in its batch while that is kept; without a
-- place, or with attempts to tell of, or when it was finished before and replayed, to a field of the
-- event. At the last waiting endpoint the event becomes history, without its record if the batch has
-- that. Returns the bytes of all history, or -1.
local function finish(event, hash, blob, outcomes, record, offset, log)
    local left, keep = redis.call('PTTL', blob), tonumber(ARGV[7])
    local placed, field = left ~= -2 and offset ~= '', '=' .. ARGV[1]
    redis.call('HDEL', hash, ARGV[1])
    if placed then
        redis.call('SETRANGE', outcomes, offset, record)
    end
    if keep > 0 and record ~= '' and
       (not placed or log ~= '' or redis.call('HEXISTS', hash, field) == 1) and
       redis.call('HSET', hash, field, record .. log) == 1 then
        redis.call('HINCRBY', hash, 'f', 1)
    end
    local counts = redis.call('HMGET', hash, 'f', 'b')
    local finished, bytes = tonumber(counts[1] or 0), counts[2]
    local others = (bytes and 1 or 0) + (finished > 0 and 1 or 0) + finished
    if redis.call('HLEN', hash) > 1 + others then
        return -1
    end
    if finished == 0 or (keep == 0 and not bytes) then -- or others were kept until then
        redis.call('UNLINK', hash)
        return -1
    end
    if left ~= -2 then
        redis.call('HDEL', hash, 'e')
        keep = left > -1 and math.max(math.min(left, keep), 1) or keep
    end
    redis.call('PEXPIRE', hash, keep)
    -- One that was history before, and waited again, has its size and maybe its member in `closed`.
    if not bytes then
        bytes = redis.call('MEMORY', 'USAGE', hash)
        redis.call('HSET', hash, 'b', bytes)
    end
    local added = redis.call('ZADD', KEYS[5], now + keep, event .. ':' .. bytes)
    return redis.call('INCRBY', KEYS[6], added * bytes)
end

-- As settle.lua's. The next one is due at `earliest` or later.
local ORDER_ID, ORDER_DUE = 25, 56
local earliest = math.huge
local function leave(key, event)
    local queue = redis.call('ZRANGEBYLEX', KEYS[7], '[' .. key, '[' .. key .. '\255', 'LIMIT', 0, 2)
    if not queue[1] or string.sub(queue[1], ORDER_ID, ORDER_DUE - 1) ~= event then
        return
    end
    redis.call('ZREM', KEYS[7], queue[1])
    if queue[2] then
        local when = math.max(now, tonumber(string.sub(queue[2], ORDER_DUE)))
        redis.call('ZADD', KEYS[2], when, string.sub(queue[2], ORDER_ID, ORDER_DUE - 1))
        earliest = math.min(earliest, when)
    end
end

local taken, asked, history = 0, (#ARGV - 7) / 5, -1
local due = now + 1 -- for the reason that settle.lua has
for i = 1, asked do
    local event, bytes, offset, log, key = unpack(ARGV, 5 * i + 3, 5 * i + 7)
    local hash, blob, outcomes = unpack(KEYS, 3 * i + 5, 3 * i + 7)
    if redis.call('ZREM', KEYS[1], event) == 1 then
        taken = taken + 1
        if ARGV[2] == 'replay' then
            redis.call('HSET', hash, ARGV[1], bytes)
            redis.call('ZADD', KEYS[2], due, event)
            earliest = due
        else
            history = math.max(history, finish(event, hash, blob, outcomes, bytes, offset, log))
            if key ~= '' then
                leave(key, event)
            end
        end
    end
end
if taken > 0 then
    if earliest < math.huge then
        redis.call('ZADD', KEYS[3], 'LT', earliest, ARGV[1])
    end
    if redis.call('EXISTS', KEYS[1]) == 0 then
        redis.call('ZREM', KEYS[4], ARGV[1])
    end
end

if owner == '' then
    return {taken > 0 and 'ok' or 'gone', now, taken, 0, 0, history}
end
redis.call('HSET', job, 'step', step, 'cursor', ARGV[5], 'updated', now)
return {'ok', now, taken, redis.call('HINCRBY', job, 'done', taken),
        redis.call('HINCRBY', job, 'skipped', ARGV[6] + asked - taken), history}
