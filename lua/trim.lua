#!lua flags=allow-oom
-- trim: drop the oldest of what is kept as history: closed batches, and events without one.
--
-- KEYS  1 closed   2 bytes of the closed   then for each member: a batch's blob and its outcomes, or
--       an event, twice
-- ARGV  the members of `closed` in the same order ("<batch id>:<bytes>" or "<event id>:<bytes>"); none:
--       only to ask for the bytes
-- Reply {bytes of all that is kept as history}
-- Cost  2 commands a batch, 3 an event.
-- Guarantee: an event that waits again has no expiry and is left alone; at its end it is listed anew.

local freed = 0
for i = 1, #ARGV do
    local at = 1 + 2 * i
    if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
        if string.sub(ARGV[i], 1, 4) ~= 'msg_' or redis.call('PTTL', KEYS[at]) >= 0 then
            redis.call('UNLINK', KEYS[at], KEYS[at + 1])
        end
        freed = freed + string.match(ARGV[i], ':(%d+)$')
    end
end
return {redis.call('DECRBY', KEYS[2], freed)}
