#!lua flags=no-writes,allow-oom
-- replicas: who is there, and how many lanes each has, at one moment.
--
-- KEYS  1 replicas   2 what is told of them (hash: incarnation -> JSON)   3 lanes (hash: lane ->
--       incarnation)
-- Reply {now in ms, lanes that somebody has, then for each replica: incarnation, end of its lease in
--       ms, its lanes, what is told of it or ""}. Flat, because hiredis refuses deep replies.
-- Cost  4 commands. Changes nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local count = {}
local owners = redis.call('HVALS', KEYS[3])
for i = 1, #owners do
    count[owners[i]] = (count[owners[i]] or 0) + 1
end
local info = {}
local told = redis.call('HGETALL', KEYS[2])
for i = 1, #told, 2 do
    info[told[i]] = told[i + 1]
end

local reply = {now, #owners}
local leases = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
    local name = leases[i]
    reply[#reply + 1] = name
    reply[#reply + 1] = tonumber(leases[i + 1])
    reply[#reply + 1] = count[name] or 0
    reply[#reply + 1] = info[name] or ''
end
return reply
