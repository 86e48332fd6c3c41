-- endpoint_put: create or replace an endpoint's document.
--
-- KEYS  1 endpoints (hash)   2 configuration (hash)   3 deleted endpoints (set)
-- ARGV  1 endpoint id   2 document   3 "create" (must be new) or "replace" (must exist)
--       4 most endpoints there may be
-- Reply {status, configuration version}: "ok", "missing" (or deleted: only the mark of a deleted
--       endpoint may replace itself), or "full".
-- Cost  3-4 commands.
--
-- Without `#!lua`: a script without flags is refused at its first write if that may take memory and
-- there is none. So a new endpoint is refused, while one can still be disabled or deleted, because
-- HDEL comes first and everything behind it passes.

local DELETED = '{"deleted":true}'

if ARGV[3] == 'create' then
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
        return {'full', 0}
    end
else
    local old = redis.call('HGET', KEYS[1], ARGV[1])
    if not old or (old == DELETED and ARGV[2] ~= DELETED) then
        return {'missing', 0}
    end
    redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[2] == DELETED then
    redis.call('SADD', KEYS[3], ARGV[1]) -- who owns its lane finds it there, until it is cleared
end
return {'ok', redis.call('HINCRBY', KEYS[2], 'version', 1)}
