#!lua flags=allow-oom
-- lanes_release: give up lanes of mine, and leave for their next owners how they stand.
--
-- KEYS  1 lanes (hash: lane -> its owner)   2 membership (hash)   3 handover (hash: lane -> state)
-- ARGV  1 my incarnation   2 version of the map by which they are mine   3 the channel that all hear
--       then for each lane: its number, its state ("" = there is none)
-- Reply {status, how many were released, version of the map}: "ok": none of them is mine afterwards;
--       "stale": I have taken lanes since that version, nothing was done.
-- Cost  3 commands a lane, and 1-4.
-- Guarantee: a lane and its state change together; of a lane that is not mine nothing is changed. A
--       repeated call does nothing. One that comes late, after its repetition and after I have taken
--       the same lane again, is stale: it would give up a lane that I send for.

local me = ARGV[1]
local taken = redis.call('HMGET', KEYS[2], 'taken:' .. me, 'version')
local version = tonumber(taken[2] or 0)
if tonumber(taken[1] or 0) > tonumber(ARGV[2]) then
    return {'stale', 0, version}
end
local released = 0
for i = 4, #ARGV, 2 do
    if redis.call('HGET', KEYS[1], ARGV[i]) == me then
        redis.call('HDEL', KEYS[1], ARGV[i])
        if ARGV[i + 1] ~= '' then
            redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
        else
            redis.call('HDEL', KEYS[3], ARGV[i])
        end
        released = released + 1
    end
end
if released > 0 then
    local time = redis.call('TIME')
    version = math.max(version + 1, time[1] * 1000 + math.floor(time[2] / 1000)) -- heartbeat.lua
    redis.call('HSET', KEYS[2], 'version', version)
    redis.pcall('PUBLISH', ARGV[3], 'l' .. version)
end
return {'ok', released, version}
