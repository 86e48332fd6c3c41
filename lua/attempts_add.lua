#!lua flags=allow-oom
-- attempts_add: list attempts of an endpoint that succeeded at the first try.
--
-- KEYS  1 attempts
-- ARGV  1 attempts kept   then records, oldest first
-- Reply the number listed. A repeated call lists them twice: this is a listing, never an outcome.
-- Cost  2 commands.

local length = redis.call('LPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)
return math.min(length, tonumber(ARGV[1]))
