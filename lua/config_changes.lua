#!lua flags=no-writes
-- config_changes: the endpoints and sources that were changed since a version of the configuration.
--
-- KEYS  1 endpoints (hash)   2 configuration (hash)   3 changes (zset: id, score = version of its last
--       change)   4 sources (hash; their ids begin with "src_")
-- ARGV  1 version that the caller has   2 most of them
-- Reply {"ok", version that the caller has with what follows, the present version,
--       id, document or "" when it is gone, ...}; or {"behind"}: what was changed since then is not
--       known any more, or that version is beyond the present one (Redis has lost the last ones).
-- Cost  3 commands and one for each.
-- Guarantee: the caller goes on from the version in the reply; what is changed meanwhile comes again.

local version = tonumber(redis.call('HGET', KEYS[2], 'version') or 0)
local floor = tonumber(redis.call('HGET', KEYS[2], 'floor') or 0)
local mine, most = tonumber(ARGV[1]), tonumber(ARGV[2])
if mine < floor or mine > version then
    return {'behind'}
end
local changes = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf', 'WITHSCORES',
                           'LIMIT', 0, most)
local reply = {'ok', version, version}
if #changes == 2 * most then
    reply[2] = tonumber(changes[#changes])
end
for i = 1, #changes, 2 do
    reply[#reply + 1] = changes[i]
    local key = changes[i]:sub(1, 4) == 'src_' and KEYS[4] or KEYS[1]
    reply[#reply + 1] = redis.call('HGET', key, changes[i]) or ''
end
return reply
