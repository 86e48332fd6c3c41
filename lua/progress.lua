#!lua flags=allow-oom
-- progress: mark finished deliveries of an open batch, so that a crash repeats little.
--
-- KEYS  1 journal   2 progress bitmap of the batch
-- ARGV  1 member of the journal: my part of the batch   then ordinals of that part
-- Reply {status, now in ms}: "ok" or "gone" (the part is not in this journal).
-- Cost  1 command an ordinal.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return {'gone', now}
end
for i = 2, #ARGV do
    redis.call('SETBIT', KEYS[2], ARGV[i], 1)
end
return {'ok', now}
