#!lua flags=allow-oom
-- feed_look: how a feed's stream is.
--
-- KEYS  1 the stream   2 its rejected stream
-- ARGV  1 the group   2 after how many ms an entry that somebody in the group has read, and neither
--       acknowledged nor let go of, is nobody's any more
-- Reply {now in ms, entries in the stream, entries that nobody has read yet (-1: Redis cannot tell), id
--       that the group has been given last, id of the first entry ("": there is none), rejected entries}.
-- Cost  4-7 commands.
-- Guarantee: the stream and the group are there afterwards; a group that is made begins with what is in
--       the stream.
--
-- Our own replicas read without a pending list (NOACK). What is in that list was read by others, who have
-- a consumer of their own in the group. Those of their entries that are published have left the stream:
-- XAUTOCLAIM takes them off the list, so that none is pending for ever.

local PENDING_MOST = 1000 -- looked at in one call

local function group_info()
    local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
    for _, fields in ipairs(groups) do
        local info = {}
        for i = 1, #fields, 2 do
            info[fields[i]] = fields[i + 1]
        end
        if info.name == ARGV[1] then
            return info
        end
    end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local group = group_info()
if not group then
    redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
    group = group_info()
end
if group.pending > 0 then
    redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[1], ARGV[2], '0-0', 'COUNT', PENDING_MOST, 'JUSTID')
end
local length, first, info = 0, '', redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
    if info[i] == 'length' then
        length = info[i + 1]
    elseif info[i] == 'recorded-first-entry-id' then
        first = info[i + 1]
    end
end
return {now, length, group.lag or -1, group['last-delivered-id'], length > 0 and first or '',
        redis.call('XLEN', KEYS[2])}
