-- feed_reject: move an entry that cannot become an event to the rejected stream.
--
-- KEYS  1 the stream   2 its rejected stream
-- ARGV  1 id of the entry, or "(" and the id before it   2 the same id, or one behind it
--       3 bytes that its fields must have at least
--       4 most entries of the rejected stream, of which the oldest go (0: none goes)
--       5 reason   6 sentence   7 name of the field at fault, or ""
-- Reply 1; 0: it is not in the stream any more, or has fewer bytes.
-- Cost  1 command, or 3.
-- Guarantee: the entry is in one of the two streams, unless it was in neither.
--
-- The rejected entry has four fields of ours, `id`, `reason`, `message` and `field`, and behind them the
-- original ones, names and values as they came.
--
-- Without `#!lua`: when memory is out it is refused as a whole, and the entry stays where it is.

local MOST = 7000 -- names and values: more do not fit on Lua's stack. Whoever writes such is in error

local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', '1')[1]
if not entry then
    return 0
end
local words, bytes = {'id', entry[1], 'reason', ARGV[5], 'message', ARGV[6], 'field', ARGV[7]}, 0
for i, word in ipairs(entry[2]) do
    bytes = bytes + #word
    if i <= MOST then
        words[#words + 1] = word
    end
end
if bytes < tonumber(ARGV[3]) then
    return 0
end
if ARGV[4] ~= '0' then
    redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[4], '*', unpack(words))
else
    redis.call('XADD', KEYS[2], '*', unpack(words))
end
redis.call('XDEL', KEYS[1], entry[1])
return 1
