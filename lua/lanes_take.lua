#!lua flags=allow-oom
-- lanes_take: what the last owners of lanes that are mine now have left for me.
--
-- KEYS  1 lanes (hash: lane -> its owner)   2 handover (hash: lane -> state)
-- ARGV  1 my incarnation   then the lanes
-- Reply for each lane its state, "" when there is none, or 0 when it is not mine.
-- Cost  2 commands, and 1 when there is a state.
-- Guarantee: a state is given once: what I send from now on is not in it. So a repeated call finds
--       none, and the lane begins as after a death. With replicas(n) its reply is held until they
--       have what was written before, so that no failover gives the lane back, or have had time enough.

local lanes = {}
for i = 2, #ARGV do
    lanes[i - 1] = ARGV[i]
end
local owners = redis.call('HMGET', KEYS[1], unpack(lanes))
local reply, taken = redis.call('HMGET', KEYS[2], unpack(lanes)), {}
for i, lane in ipairs(lanes) do
    if owners[i] ~= ARGV[1] then
        reply[i] = 0
    elseif reply[i] then
        taken[#taken + 1] = lane
    else
        reply[i] = ''
    end
end
if #taken > 0 then
    redis.call('HDEL', KEYS[2], unpack(taken))
end
return reply
