-- feed_requeue: put rejected entries back into their stream, as they were written first.
--
-- KEYS  1 the stream   2 its rejected stream
-- ARGV  ids in the rejected stream
-- Reply how many of them were there.
-- Cost  1 command for each, and 2 more when it is there.
-- Guarantee: each is in one of the two streams.
--
-- They get new ids: those of a stream only grow.
--
-- Without `#!lua`: when memory is out it is refused as a whole.

local OURS = 8 -- words in front: feed_reject.lua's

local count = 0
for _, id in ipairs(ARGV) do
    local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
    if entry then
        redis.call('XADD', KEYS[1], '*', unpack(entry[2], OURS + 1))
        redis.call('XDEL', KEYS[2], id)
        count = count + 1
    end
end
return count
