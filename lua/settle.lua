#!lua flags=allow-oom
-- settle: finish, postpone or bury one leased delivery of the schedule.
--
-- KEYS  1 due   2 lane   3 event   4 attempts   5 dead   6 endpoints with dead letters
--       7 batch blob   8 outcomes of the batch
-- ARGV  1 event id   2 endpoint id   3 the lease held (score in ms), or "" to take it whatever its
--         score is (only for the endpoint's owner clearing its schedule)
--       4 "done" (sent or cancelled), "retry" or "dead"   5 ms from now (retry)
--       6 delivery state (retry, dead)   7 offset of its outcome record, 8 the record (done)
--       9 attempt record ("" = none)   10 attempts kept
-- Reply {status, now in ms, due time in ms or 0}: "ok", or "stale" when the lease is not held any more
--       (then nothing was written: another has it, or a repeated call has settled it already).
-- Cost  6-8 commands.
-- Guarantee: the entry in `due` or `dead` and the field in `event` change together; at the last field
--       the event's own copy is dropped, its batch remains as history. Outcomes of a closed batch have
--       an expiry from their close, those of an open one will get it there.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not held or (ARGV[3] ~= '' and tonumber(held) ~= tonumber(ARGV[3])) then
    return {'stale', now, 0}
end
local score = 0
if ARGV[4] == 'retry' then
    score = now + ARGV[5]
    redis.call('ZADD', KEYS[1], score, ARGV[1])
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[6])
elseif ARGV[4] == 'dead' then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[6])
    redis.call('ZADD', KEYS[5], now, ARGV[1])
    redis.call('ZADD', KEYS[6], 0, ARGV[2])
else
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[3], ARGV[2])
    if redis.call('HLEN', KEYS[3]) <= 1 then
        redis.call('UNLINK', KEYS[3])
    end
    if redis.call('EXISTS', KEYS[7]) == 1 then -- else its outcomes are gone as well
        redis.call('SETRANGE', KEYS[8], ARGV[7], ARGV[8])
    end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #head == 0 then
    redis.call('ZREM', KEYS[2], ARGV[2])
else
    -- Never later than the lane has it: an earlier score only costs a look.
    redis.call('ZADD', KEYS[2], 'LT', head[2], ARGV[2])
end
if ARGV[9] ~= '' and tonumber(ARGV[10]) > 0 then
    redis.call('LPUSH', KEYS[4], ARGV[9])
    redis.call('LTRIM', KEYS[4], 0, ARGV[10] - 1)
end
return {'ok', now, score}
