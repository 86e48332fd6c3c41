#!lua flags=allow-oom
-- settle: finish, postpone or bury one leased delivery of the schedule.
--
-- KEYS  1 due   2 lane   3 event   4 attempts   5 dead   6 endpoints with dead letters
--       7 batch blob   8 outcomes of the batch   9 closed   10 bytes of the closed
--       11 lanes (hash: lane -> its owner)
-- ARGV  1 event id   2 endpoint id   3 the lease held (its end in ms), or "" to take it whenever it is
--         due (only for the endpoint's owner clearing its schedule)
--       4 "done" (sent or cancelled), "retry" or "dead"   5 ms from now (retry)
--       6 delivery state (retry, dead), or the log of its attempts ("" = none; done)
--       7 offset of its outcome record in its batch ("" = it has no place there), 8 the record (done)
--       9 attempt record ("" = none)   10 attempts kept   11 how long history is kept in ms (0: not)
--       12 number of the endpoint's lane   13 my incarnation
-- Reply {status, now in ms, due time in ms or 0, bytes of all history or -1}: "ok", or "stale" when the
--       lease is not held any more (then nothing was written: another has it, or a repeated call has
--       settled it already); without a lease also "moved" when the lane is not mine, and "leased" when
--       somebody has it in hand, who will settle it, or let its lease end: the same.
-- Cost  7-13 commands; 15 for the last delivery of an event that is history from then on.
-- Guarantee: the entry in `due` or `dead` and the field in `event` change together. An event without
--       waiting fields has an expiry and is in `closed`, or is gone. Outcomes of a closed batch have
--       an expiry from their close, those of an open one will get it there.
--
-- Fields of an event: "e" its record; an endpoint's id = it waits or is dead: its state; "=" and an
-- endpoint's id = it is finished: outcome record and log of attempts; "f" the number of these; "b" the
-- bytes of the event as `closed` has them, once it was history.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The end of the delivery: the outcome goes to its place in its batch while that is kept; without a
-- place, or with attempts to tell of, or when it was finished before and replayed, to a field of the
-- event. At the last waiting endpoint the event becomes history, without its record if the batch has
-- that. Returns the bytes of all history, or -1.
local function finish()
    local left, keep = redis.call('PTTL', KEYS[7]), tonumber(ARGV[11])
    local placed, field = left ~= -2 and ARGV[7] ~= '', '=' .. ARGV[2]
    redis.call('HDEL', KEYS[3], ARGV[2])
    if placed then
        redis.call('SETRANGE', KEYS[8], ARGV[7], ARGV[8])
    end
    if keep > 0 and ARGV[8] ~= '' and
       (not placed or ARGV[6] ~= '' or redis.call('HEXISTS', KEYS[3], field) == 1) and
       redis.call('HSET', KEYS[3], field, ARGV[8] .. ARGV[6]) == 1 then
        redis.call('HINCRBY', KEYS[3], 'f', 1)
    end
    local counts = redis.call('HMGET', KEYS[3], 'f', 'b')
    local finished, bytes = tonumber(counts[1] or 0), counts[2]
    local others = (bytes and 1 or 0) + (finished > 0 and 1 or 0) + finished
    if redis.call('HLEN', KEYS[3]) > 1 + others then
        return -1
    end
    if finished == 0 then
        redis.call('UNLINK', KEYS[3])
        return -1
    end
    if left ~= -2 then
        redis.call('HDEL', KEYS[3], 'e')
        keep = left > -1 and math.max(math.min(left, keep), 1) or keep
    end
    redis.call('PEXPIRE', KEYS[3], keep)
    -- One that was history before, and waited again, has its size and maybe its member in `closed`.
    if not bytes then
        bytes = redis.call('MEMORY', 'USAGE', KEYS[3])
        redis.call('HSET', KEYS[3], 'b', bytes)
    end
    local added = redis.call('ZADD', KEYS[9], now + keep, ARGV[1] .. ':' .. bytes)
    return redis.call('INCRBY', KEYS[10], added * bytes)
end

if ARGV[3] == '' and redis.call('HGET', KEYS[11], ARGV[12]) ~= ARGV[13] then
    return {'moved', now, 0, -1}
end
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
local LEASED = 0.5 -- of a lease's score: lease.lua
if not held or (ARGV[3] ~= '' and tonumber(held) ~= ARGV[3] + LEASED) then
    return {'stale', now, 0, -1}
end
if ARGV[3] == '' and held % 1 == LEASED and math.floor(held) > now then
    return {'leased', now, 0, -1}
end
local score, history = 0, -1
if ARGV[4] == 'retry' then
    -- Never in this very millisecond: the next lease could end with mine, and my repeated call take
    -- it for mine.
    score = now + math.max(tonumber(ARGV[5]), 1)
    redis.call('ZADD', KEYS[1], score, ARGV[1])
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[6])
elseif ARGV[4] == 'dead' then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[6])
    redis.call('ZADD', KEYS[5], now, ARGV[1])
    redis.call('ZADD', KEYS[6], 0, ARGV[2])
else
    redis.call('ZREM', KEYS[1], ARGV[1])
    history = finish()
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #head == 0 then
    redis.call('ZREM', KEYS[2], ARGV[2])
else
    -- Never later than the lane has it: an earlier score only costs a look.
    redis.call('ZADD', KEYS[2], 'LT', math.floor(head[2]), ARGV[2])
end
if ARGV[9] ~= '' and tonumber(ARGV[10]) > 0 then
    redis.call('LPUSH', KEYS[4], ARGV[9])
    redis.call('LTRIM', KEYS[4], 0, ARGV[10] - 1)
    redis.call('PEXPIRE', KEYS[4], ARGV[11])
end
return {'ok', now, score, history}
