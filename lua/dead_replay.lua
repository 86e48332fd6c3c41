#!lua flags=allow-oom
-- dead_replay: put one dead letter back into the schedule, or drop it.
--
-- KEYS  1 dead   2 due   3 lane   4 event   5 endpoints with dead letters   6 batch blob   7 outcomes
--       8 closed   9 bytes of the closed
-- ARGV  1 event id   2 endpoint id   3 "replay" or "discard"
--       4 delivery state (replay), or the log of its attempts (discard)
--       5 offset of its outcome record, 6 the record (discard)   7 how long history is kept in ms
-- Reply {status, now in ms, bytes of all history or -1}: "ok", or "gone" when it is not among the dead
--       letters (any more).
-- Cost  6 commands; a discard 6-13.
-- A discarded delivery is finished as settle.lua says.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The end of the delivery: the outcome goes to its batch while that is kept; without a batch, or
-- with attempts to tell of, to a field of the event. At the last waiting endpoint the event becomes
-- history, without its record if the batch has that. Returns the bytes of all history, or -1.
local function finish()
    local left, keep = redis.call('PTTL', KEYS[6]), tonumber(ARGV[7])
    redis.call('HDEL', KEYS[4], ARGV[2])
    if left ~= -2 then
        redis.call('SETRANGE', KEYS[7], ARGV[5], ARGV[6])
    end
    if keep > 0 and ARGV[6] ~= '' and (left == -2 or ARGV[4] ~= '') and
       redis.call('HSET', KEYS[4], '=' .. ARGV[2], ARGV[6] .. ARGV[4]) == 1 then
        redis.call('HINCRBY', KEYS[4], 'f', 1)
    end
    local counts = redis.call('HMGET', KEYS[4], 'f', 'b')
    local finished, bytes = tonumber(counts[1] or 0), counts[2]
    local others = (bytes and 1 or 0) + (finished > 0 and 1 or 0) + finished
    if redis.call('HLEN', KEYS[4]) > 1 + others then
        return -1
    end
    if finished == 0 then
        redis.call('UNLINK', KEYS[4])
        return -1
    end
    if left ~= -2 then
        redis.call('HDEL', KEYS[4], 'e')
        keep = left > -1 and math.max(math.min(left, keep), 1) or keep
    end
    redis.call('PEXPIRE', KEYS[4], keep)
    -- One that was history before, and waited again, has its size and maybe its member in `closed`.
    if not bytes then
        bytes = redis.call('MEMORY', 'USAGE', KEYS[4])
        redis.call('HSET', KEYS[4], 'b', bytes)
    end
    local added = redis.call('ZADD', KEYS[8], now + keep, ARGV[1] .. ':' .. bytes)
    return redis.call('INCRBY', KEYS[9], added * bytes)
end

if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
    return {'gone', now, -1}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('ZREM', KEYS[5], ARGV[2])
end
if ARGV[3] == 'replay' then
    redis.call('HSET', KEYS[4], ARGV[2], ARGV[4])
    local due = now + 1 -- for the reason that settle.lua has
    redis.call('ZADD', KEYS[2], due, ARGV[1])
    redis.call('ZADD', KEYS[3], 'LT', due, ARGV[2])
    return {'ok', now, -1}
end
return {'ok', now, finish()}
