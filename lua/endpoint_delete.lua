#!lua flags=allow-oom
-- endpoint_delete: remove an endpoint and what belongs to it alone, once its schedule is empty.
--
-- It is no change of the configuration: that was its mark, {"deleted":true}, of which every replica
-- was told. Who has missed the mark finds the endpoint among the changes and no document.
--
-- KEYS  1 endpoints (hash)   2 due   3 dead   4 lane   5 attempts   6 endpoints with dead letters
--       7 health (hash)   8 deleted endpoints (set)   9 ord
-- ARGV  1 endpoint id
-- Reply "ok", or "busy" while deliveries wait or dead letters are left.
-- Cost  7 commands.

if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[9]) > 0 then
    return 'busy'
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[8], ARGV[1])
redis.call('HDEL', KEYS[7], ARGV[1])
redis.call('UNLINK', KEYS[5])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
return 'ok'
