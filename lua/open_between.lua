#!lua flags=no-writes,allow-oom
-- open_between: is a batch of that time open, in whose hands it may be?
--
-- KEYS  1 journals (zset of every incarnation that has a journal)
-- ARGV  1 what the key of a journal begins with, before the incarnation   2 and 3 the first and the last
--       time: what a batch's name begins with, as a number
-- Reply 1 or 0.
-- Cost  1 command a journal, and 0.2 us a batch in them. Changes nothing.
-- Guarantee: a part of a batch is in one journal until it is closed, and whoever adopts it changes that in
--       one step; so none that is open is passed over. The journals' keys are of the shard of KEYS[1].

local TIME_DIGITS = 10
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])

for _, incarnation in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    for _, member in ipairs(redis.call('ZRANGE', ARGV[1] .. incarnation, 0, -1)) do
        local at = tonumber(string.sub(member, 1, TIME_DIGITS), 16)
        if at and at >= first and at <= last then
            return 1
        end
    end
end
return 0
