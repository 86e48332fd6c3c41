#!lua flags=allow-oom
-- endpoint_delete: remove an endpoint and what belongs to it alone, once its schedule is empty.
--
-- KEYS  1 endpoints (hash)   2 configuration (hash)   3 due   4 dead   5 lane   6 attempts
--       7 endpoints with dead letters   8 health (hash)   9 deleted endpoints (set)
-- ARGV  1 endpoint id
-- Reply "ok", or "busy" while deliveries wait or dead letters are left.
-- Cost  7 commands.

if redis.call('EXISTS', KEYS[3], KEYS[4]) > 0 then
    return 'busy'
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[9], ARGV[1])
redis.call('HDEL', KEYS[8], ARGV[1])
redis.call('UNLINK', KEYS[6])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'version', 1)
return 'ok'
