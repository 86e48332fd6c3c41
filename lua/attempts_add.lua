#!lua flags=allow-oom
-- attempts_add: list attempts of an endpoint that succeeded at the first try.
--
-- KEYS  1 attempts
-- ARGV  1 attempts kept   2 how long history is kept in ms   then records, oldest first
-- Reply the number listed. A repeated call lists them twice: this is a listing, never an outcome.
-- Cost  1 command for 1000 records, and 2.

local AT_ONCE = 1000 -- unpack() has room for some 8000

local kept = tonumber(ARGV[1])
if kept == 0 then
    return 0
end
local length = 0
for i = 3, #ARGV, AT_ONCE do
    length = redis.call('LPUSH', KEYS[1], unpack(ARGV, i, math.min(i + AT_ONCE - 1, #ARGV)))
end
redis.call('LTRIM', KEYS[1], 0, kept - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return math.min(length, kept)
