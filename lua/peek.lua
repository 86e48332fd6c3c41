#!lua flags=allow-oom
-- peek: which endpoints of my lanes are worth looking at now, and when is it worth asking again?
--
-- KEYS  the lanes
-- ARGV  1 most endpoints to name for each lane   then for each lane: how many of the first to pass over
-- Reply {now in ms, then for each lane: its earliest score later than now or -1, the number n of
--       endpoints named, and n endpoint ids}. Flat, because hiredis refuses deep replies.
-- Cost  1 command for 16 lanes, if all are empty; else 1 more for each of them, and 2 for one in which an
--       endpoint is due. Changes nothing.

local GROUP = 16
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local reply = {now}

local function empty(lanes)
    for _ = 1, lanes do
        reply[#reply + 1] = -1
        reply[#reply + 1] = 0
    end
end

local function look(i)
    local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
    if not first[1] then
        empty(1)
        return
    end
    if tonumber(first[2]) > now then
        reply[#reply + 1] = tonumber(first[2])
        reply[#reply + 1] = 0
        return
    end
    local names = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', ARGV[i + 1], ARGV[1])
    local later = redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    reply[#reply + 1] = later[2] and tonumber(later[2]) or -1
    reply[#reply + 1] = #names
    for j = 1, #names do
        reply[#reply + 1] = names[j]
    end
end

for from = 1, #KEYS, GROUP do
    local to = math.min(from + GROUP - 1, #KEYS)
    if redis.call('EXISTS', unpack(KEYS, from, to)) == 0 then
        empty(to - from + 1)
    else
        for i = from, to do
            look(i)
        end
    end
end
return reply
