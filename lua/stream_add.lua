#!lua
-- stream_add: add an entry to a stream that is not to be trimmed, unless it is full.
--
-- KEYS  1 the stream
-- ARGV  1 most entries it may have   then the entry's fields and values
-- Reply the entry's id; or nil: it is full.
-- Cost  2 commands.
-- Guarantee: the stream never has more entries because of this. A repeated call adds another entry.
--       Without memory nothing is added: Redis refuses the call.

if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
    return false
end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
