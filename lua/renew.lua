#!lua flags=allow-oom
-- renew: keep the leases of deliveries that are still in hand.
--
-- KEYS  1 due
-- ARGV  1 length of the lease in ms   then pairs: the lease held (its end in ms), event id
-- Reply {now in ms, end of the new lease in ms, then for each pair 1 = renewed, 0 = not held any more}.
-- Cost  1-2 commands a delivery.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_end, LEASED = now + ARGV[1], 0.5 -- of its score: lease.lua

local reply = {now, lease_end}
for i = 2, #ARGV, 2 do
    local held = redis.call('ZSCORE', KEYS[1], ARGV[i + 1])
    if held and tonumber(held) == ARGV[i] + LEASED then
        redis.call('ZADD', KEYS[1], lease_end + LEASED, ARGV[i + 1])
        reply[#reply + 1] = 1
    else
        reply[#reply + 1] = 0
    end
end
return reply
