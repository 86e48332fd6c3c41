#!lua flags=allow-oom
-- peek: which endpoints of my lanes are worth looking at now, and when is it worth asking again?
--
-- KEYS  the lanes
-- ARGV  1 most endpoints to name for each lane   then for each lane: how many of the first to pass over
-- Reply {now in ms, then for each lane: its earliest score later than now or -1, the number n of
--       endpoints named, and n endpoint ids}. Flat, because hiredis refuses deep replies.
-- Cost  2 commands a lane. Changes nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local reply = {now}
for i = 1, #KEYS do
    local names = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', ARGV[i + 1], ARGV[1])
    local later = redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    reply[#reply + 1] = later[2] and tonumber(later[2]) or -1
    reply[#reply + 1] = #names
    for j = 1, #names do
        reply[#reply + 1] = names[j]
    end
end
return reply
