#!lua flags=allow-oom
-- adopt: take one batch from a dead replica's journal into mine.
--
-- KEYS  1 its journal   2 my journal   3 its progress bitmap   4 my progress bitmap   5 live replicas
--       6 journals (zset of every incarnation that has a journal)
-- ARGV  1 batch id   2 its incarnation   3 my incarnation
-- Reply "ok", "gone" (another has it), or "alive" (the owner's lease has not ended after all).
-- Cost  6-7 commands.
-- Guarantee: the batch is in exactly one journal at every moment, and that one's owner is among those
--       who have one, even if I was taken for dead and buried myself.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return 'ok' -- a repeated call
end
local lease = redis.call('ZSCORE', KEYS[5], ARGV[2])
if lease and tonumber(lease) > now then
    return 'alive'
end
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then
    return 'gone'
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], score, ARGV[1])
redis.call('ZADD', KEYS[6], 0, ARGV[3])
if redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('RENAME', KEYS[3], KEYS[4])
end
return 'ok'
