#!lua flags=allow-oom
-- move: take one delivery out of an open batch, into the schedule or to the dead letters.
--
-- KEYS  1 journal   2 progress bitmap of the batch   3 event   4 due   5 lane   6 attempts   7 dead
--       8 endpoints with dead letters
-- ARGV  1 member of the journal: my part of the batch   2 ordinal   3 event id   4 endpoint id
--       5 the event's record   6 delivery state
--       7 "in", "at", "leased" (it is in flight) or "dead"   8 ms from now / absolute ms / length of the
--         lease in ms / unused
--       9 attempt record ("" = none)   10 attempts kept   11 how long history is kept in ms
-- Reply {status, now in ms, score}: "ok", "already" (a repeated call), or "gone" (the part is not in
--       this journal). score is the due time in ms (for a delivery in flight: the end of its lease).
-- Cost  about 9 commands.
-- Guarantee: together with the entry goes the progress bit, so the call may be repeated safely, and a
--       recovery either sees the bit and the entry or neither. The bitmap is of all parts; the ordinals
--       of mine are nobody else's as long as my journal has it.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return {'gone', now, 0}
end
if redis.call('GETBIT', KEYS[2], ARGV[2]) == 1 then
    return {'already', now, math.floor(redis.call('ZSCORE', KEYS[4], ARGV[3]) or 0)}
end
local score, LEASED = now, 0.5 -- of a lease's score: lease.lua
redis.call('HSETNX', KEYS[3], 'e', ARGV[5])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[6])
redis.call('PERSIST', KEYS[3]) -- it may have been history, if its batch was stored again
if ARGV[7] == 'dead' then
    redis.call('ZADD', KEYS[7], now, ARGV[3])
    redis.call('ZADD', KEYS[8], 0, ARGV[4])
else
    score = ARGV[7] == 'at' and math.max(tonumber(ARGV[8]), now) or now + ARGV[8]
    redis.call('ZADD', KEYS[4], ARGV[7] == 'leased' and score + LEASED or score, ARGV[3])
    redis.call('ZADD', KEYS[5], 'LT', score, ARGV[4])
end
redis.call('SETBIT', KEYS[2], ARGV[2], 1)
if ARGV[9] ~= '' and tonumber(ARGV[10]) > 0 then
    redis.call('LPUSH', KEYS[6], ARGV[9])
    redis.call('LTRIM', KEYS[6], 0, ARGV[10] - 1)
    redis.call('PEXPIRE', KEYS[6], ARGV[11])
end
return {'ok', now, score}
