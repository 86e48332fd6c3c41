#!lua flags=allow-oom
-- heartbeat: say that I live, and learn who does not.
--
-- KEYS  1 replicas (zset, score = end of the lease)   2 journals (zset of every incarnation that has
--       a journal)   3 configuration (hash)   4 what is told of replicas (hash: incarnation -> JSON)
-- ARGV  1 my incarnation   2 length of the lease in ms
--       3 incarnations known to be dead (their data directory's lock is mine): "" or "others" = all
--         but me   4 what is told of me; "": nothing
-- Reply {now in ms, configuration version, dead incarnation that left a journal, ...}
-- Cost  5 commands and one for each replica.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if ARGV[3] == 'others' then
    redis.call('UNLINK', KEYS[1])
end
if KEYS[4] and ARGV[4] ~= '' then
    redis.call('HSET', KEYS[4], ARGV[1], ARGV[4])
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
local reply = {now, tonumber(redis.call('HGET', KEYS[3], 'version') or 0)}
local journals = redis.call('ZRANGE', KEYS[2], 0, 99)
for i = 1, #journals do
    local lease = redis.call('ZSCORE', KEYS[1], journals[i])
    if not lease or tonumber(lease) <= now then
        reply[#reply + 1] = journals[i]
    end
end
return reply
