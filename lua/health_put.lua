#!lua flags=allow-oom
-- health_put: keep how endpoints of my lanes fare.
--
-- KEYS  1 health (hash)   2 endpoints (hash)   3 lanes (hash: lane -> its owner)
-- ARGV  1 my incarnation   then for each endpoint: its id, the number of its lane, its record or ""
--         when nothing is wrong with it
-- Reply how many were written.
-- Cost  3 commands an endpoint.
-- Guarantee: an endpoint that is gone gets no record, so a call that comes late leaves nothing behind;
--       endpoint_delete takes the record away. Of a lane that is not mine nothing is written: its owner
--       knows better. A repeated call writes the same again.

local written = 0
for i = 2, #ARGV, 3 do
    if redis.call('HGET', KEYS[3], ARGV[i + 1]) == ARGV[1] then
        if ARGV[i + 2] == '' then
            redis.call('HDEL', KEYS[1], ARGV[i])
        elseif redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
            redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
            written = written + 1
        end
    end
end
return written
