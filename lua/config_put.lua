-- config_put: create, replace or delete the document of an endpoint or a source, and tell every
-- replica.
--
-- KEYS  1 endpoints, or sources (hash)   2 configuration (hash)
--       3 changes (zset: id, score = version of its last change)   4 deleted endpoints (set)
-- ARGV  1 id   2 document; "": it is deleted (a source; an endpoint gets its mark instead)
--       3 "create" (must be new) or "replace" (must exist)   4 most documents there may be
--       5 version of the configuration that the change was made of, or "" when it holds anyhow
--       6 most changes kept   7 channel of all replicas   8 newest version that the caller has had
-- Reply {status, configuration version}: "ok", "missing" (or deleted: only the mark of a deleted
--       endpoint may replace itself), "full", or "conflict": it has been changed since version 5, or
--       made by somebody else; then the third element is the document as it is now. After "ok" it
--       is the last version before.
-- Cost  9-12 commands, and 2 when changes are dropped or were lost.
-- Guarantee: of two changes that were made of the same document, one is a conflict. When changes
--       are dropped, `floor` is the version up to which they are not known any more. A version is
--       greater than the last one and no less than the time in ms, so that a master that has taken
--       another's place, without its last writes, gives no change a version that somebody knows of
--       another one: a change that was made of a document which is lost is a conflict.
--
-- Data may also be lost while everybody stays connected: it was deleted, or an older state was put in
-- its place. Then the next change would hide that from all who go by the version. So a version that is
-- older than the caller's, or the first one, makes those who have an older one load everything.
--
-- Without `#!lua`: a script without flags is refused at its first write if that may take memory and
-- there is none. So a new document is refused, while one can still be changed or deleted, because
-- HDEL comes first and everything behind it passes.

local DELETED = '{"deleted":true}'

local old = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[3] == 'create' then
    if old then
        return {'conflict', tonumber(redis.call('HGET', KEYS[2], 'version') or 0), old}
    end
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
        return {'full', 0}
    end
else
    if not old or (old == DELETED and ARGV[2] ~= DELETED) then
        return {'missing', 0}
    end
    if ARGV[5] ~= '' then
        local changed = redis.call('ZSCORE', KEYS[3], ARGV[1])
            or redis.call('HGET', KEYS[2], 'floor') or 0
        if tonumber(changed) > tonumber(ARGV[5]) then
            return {'conflict', tonumber(redis.call('HGET', KEYS[2], 'version')), old}
        end
    end
    redis.call('HDEL', KEYS[1], ARGV[1])
end
if ARGV[2] ~= '' then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
if ARGV[2] == DELETED then
    redis.call('SADD', KEYS[4], ARGV[1]) -- who owns its lane finds it there, until it is cleared
end
local time = redis.call('TIME')
local before = tonumber(redis.call('HGET', KEYS[2], 'version') or 0)
local version = math.max(before + 1, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[2], 'version', version)
if before == 0 or before < tonumber(ARGV[8]) then
    redis.call('HSET', KEYS[2], 'floor', version - 1)
    redis.call('UNLINK', KEYS[3])
end
redis.call('ZADD', KEYS[3], version, ARGV[1])
local over = redis.call('ZCARD', KEYS[3]) - ARGV[6]
if over > 0 then
    local dropped = redis.call('ZPOPMIN', KEYS[3], math.min(over, 100))
    redis.call('HSET', KEYS[2], 'floor', dropped[#dropped])
end
redis.pcall('PUBLISH', ARGV[7], 'c' .. version) -- a hint: without the right to it nothing is lost
return {'ok', version, before}
