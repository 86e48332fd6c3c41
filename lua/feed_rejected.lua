#!lua flags=no-writes
-- feed_rejected: entries of a feed's rejected stream, cut to a size that can be shown.
--
-- KEYS  1 the rejected stream
-- ARGV  1, 2 ids, from … to …; newest first: the greater one first   3 most entries
--       4 most bytes of a value; 0: ids alone are asked for   5 most fields of an entry
--       6 "newest" or "oldest" first
-- Reply of each entry {its id, id of the original, reason, message, field at fault, then of each original
--       field: name, bytes of its value, its value}; or {its id}.
-- Cost  1 command.

local OURS = 8 -- words in front: feed_reject.lua's
local most, cut, fields_most = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local reply = {}
for n, entry in ipairs(redis.call(ARGV[6] == 'newest' and 'XREVRANGE' or 'XRANGE', KEYS[1], ARGV[1], ARGV[2],
                                  'COUNT', most)) do
    local words, shown = entry[2], {entry[1]}
    if cut > 0 then
        for i = 2, OURS, 2 do
            shown[#shown + 1] = words[i] or ''
        end
        for i = OURS + 1, math.min(#words, OURS + 2 * fields_most), 2 do
            shown[#shown + 1] = string.sub(words[i], 1, cut)
            shown[#shown + 1] = #words[i + 1]
            shown[#shown + 1] = string.sub(words[i + 1], 1, cut)
        end
    end
    reply[n] = shown
end
return reply
