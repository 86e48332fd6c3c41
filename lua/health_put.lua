#!lua flags=allow-oom
-- health_put: keep how endpoints fare.
--
-- KEYS  1 health (hash)   2 endpoints (hash)
-- ARGV  for each endpoint: 1 its id   2 its record, or "" when nothing is wrong with it
-- Reply how many were written.
-- Cost  2 commands an endpoint.
-- Guarantee: an endpoint that is gone gets no record, so a call that comes late leaves nothing behind;
--       endpoint_delete takes the record away. A repeated call writes the same again.

local written = 0
for i = 1, #ARGV, 2 do
    if ARGV[i + 1] == '' then
        redis.call('HDEL', KEYS[1], ARGV[i])
    elseif redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
        written = written + 1
    end
end
return written
