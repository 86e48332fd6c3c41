#!lua flags=allow-oom
-- order_free: take deliveries out of the ordered queues of an endpoint that takes nothing any more, so
-- that each is due by itself, and can be cleared.
--
-- KEYS  1 ord   2 due   3 lane   4 dead   5 lanes (hash: lane -> its owner)
-- ARGV  1 endpoint id   2 number of its lane   3 my incarnation   4 most to take out
-- Reply how many are left in the queues; -1 when the lane is not mine, and then nothing was done.
-- Cost  5 commands, and one for each delivery.
-- Guarantee: what was in `due` keeps its time, or its lease, and a dead letter stays one. Queues are taken
--       apart from their ends, so what is left of one, should the endpoint be enabled meanwhile, still has
--       its head, and goes on.

local EVENT, DUE = 25, 56 -- where these begin in a member: publish.lua
if redis.call('HGET', KEYS[5], ARGV[2]) ~= ARGV[3] then
    return -1
end
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local members, entries = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[4] - 1), {}
for _, member in ipairs(members) do
    local event = string.sub(member, EVENT, DUE - 1)
    if not redis.call('ZSCORE', KEYS[4], event) then
        entries[#entries + 1] = now
        entries[#entries + 1] = event
    end
end
if #members > 0 then
    redis.call('ZREM', KEYS[1], unpack(members))
end
if #entries > 0 then
    redis.call('ZADD', KEYS[2], 'NX', unpack(entries))
    redis.call('ZADD', KEYS[3], 'LT', now, ARGV[1])
end
return redis.call('ZCARD', KEYS[1])
