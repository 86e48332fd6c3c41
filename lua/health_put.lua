#!lua flags=allow-oom
-- health_put: keep how endpoints fare.
--
-- KEYS  1 health (hash)   2 endpoints (hash)   3 lanes (hash)
-- ARGV  1 incarnation; then for each endpoint: its id, its lane, its record or "" when nothing is wrong with it
-- Reply how many were written.
-- Cost  3 commands an endpoint.
-- Guarantee: what another replica owns stays as that one wrote it, so a call that comes late, or again, after a
--       lane was handed over does no harm. An endpoint that is gone gets no record, so such a call leaves nothing
--       behind; endpoint_delete takes the record away. A repeated call writes the same again.

local written = 0
for i = 2, #ARGV, 3 do
    local owner = redis.call('HGET', KEYS[3], ARGV[i + 1])
    if not owner or owner == ARGV[1] then
        if ARGV[i + 2] == '' then
            redis.call('HDEL', KEYS[1], ARGV[i])
        elseif redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
            redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
            written = written + 1
        end
    end
end
return written
