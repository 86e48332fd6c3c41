#!lua flags=allow-oom
-- adopt: take one part of a batch from a dead replica's journal into mine.
--
-- KEYS  1 its journal   2 my journal   3 live replicas
--       4 journals (zset of every incarnation that has a journal)
-- ARGV  1 member of the journal   2 its incarnation   3 my incarnation
-- Reply "ok", "gone" (another has it), or "alive" (the owner's lease has not ended after all).
-- Cost  5-6 commands.
-- Guarantee: the part is in exactly one journal at every moment, and that one's owner is among those
--       who have one, even if I was taken for dead and buried myself. Progress, outcomes and the number
--       of open parts are the batch's, and stay where they are: every write to them needs the member in
--       the writer's own journal, so the last owner can do no harm from now on.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    return 'ok' -- a repeated call
end
local lease = redis.call('ZSCORE', KEYS[3], ARGV[2])
if lease and tonumber(lease) > now then
    return 'alive'
end
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then
    return 'gone'
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], score, ARGV[1])
redis.call('ZADD', KEYS[4], 0, ARGV[3])
return 'ok'
