#!lua flags=allow-oom
-- close: take a batch whose deliveries are all finished or moved out of the journal.
--
-- KEYS  1 journal   2 batch blob   3 progress bitmap   4 outcomes   5 closed   6 bytes of the closed
-- ARGV  1 batch id   2 how long history is kept in ms (0: not at all)   3 offset, 4 record, ...: the
--         outcome records, in runs; those of moved deliveries are written by their settle, before or
--         after this
-- Reply {status, now in ms, bytes of all closed batches}: "ok" or "gone" (a repeated call).
-- Cost  9 commands a batch.
-- Guarantee: every key that belongs to the batch has an expiry afterwards or is gone. As long as the
--       blob is kept there are outcomes, if only an empty one, with the same expiry: so a settle
--       writes to them without a thought for expiries, and they tell a late repetition of the batch's
--       publish that it is too late.

local OUTCOME_BYTES = 12
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
    return {'gone', now, tonumber(redis.call('GET', KEYS[6]) or 0)}
end
redis.call('UNLINK', KEYS[3])
local keep = tonumber(ARGV[2])
if keep == 0 then
    redis.call('UNLINK', KEYS[2], KEYS[4])
    return {'ok', now, tonumber(redis.call('GET', KEYS[6]) or 0)}
end
for i = 3, #ARGV, 2 do
    redis.call('SETRANGE', KEYS[4], ARGV[i], ARGV[i + 1])
end
local outcomes = redis.call('STRLEN', KEYS[4])
if outcomes == 0 then
    outcomes = redis.call('SETRANGE', KEYS[4], 0, string.rep('\0', OUTCOME_BYTES))
end
redis.call('PEXPIRE', KEYS[2], keep)
redis.call('PEXPIRE', KEYS[4], keep)
local bytes = redis.call('STRLEN', KEYS[2]) + outcomes
redis.call('ZADD', KEYS[5], now + keep, ARGV[1] .. ':' .. bytes)
return {'ok', now, redis.call('INCRBY', KEYS[6], bytes)}
