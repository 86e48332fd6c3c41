#!lua flags=allow-oom
-- peek: which endpoints of my lanes are worth looking at now, and when is it worth asking again?
--
-- KEYS  the lanes
-- ARGV  1 most endpoints to name for each lane
-- Reply {now in ms, then for each lane: its earliest score or -1 when it is empty, and the number n
--       of endpoints named, and n endpoint ids}. Flat, because hiredis refuses deep replies.
-- Cost  2 commands a lane. Changes nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local reply = {now}
for i = 1, #KEYS do
    local head = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
    if #head == 0 then
        reply[#reply + 1] = -1
        reply[#reply + 1] = 0
    else
        local score = tonumber(head[2])
        local names = {}
        if score <= now then
            names = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, ARGV[1])
        end
        reply[#reply + 1] = score
        reply[#reply + 1] = #names
        for j = 1, #names do
            reply[#reply + 1] = names[j]
        end
    end
end
return reply
