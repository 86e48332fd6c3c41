#!lua
-- endpoint_put: create or replace an endpoint's document.
--
-- KEYS  1 endpoints (hash)   2 configuration (hash)
-- ARGV  1 endpoint id   2 document   3 "create" (must be new) or "replace" (must exist)
--       4 most endpoints there may be
-- Reply {status, configuration version}: "ok", "missing", or "full".
-- Cost  3 commands.

if ARGV[3] == 'create' then
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
        return {'full', 0}
    end
elseif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    return {'missing', 0}
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {'ok', redis.call('HINCRBY', KEYS[2], 'version', 1)}
