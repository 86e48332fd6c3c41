#!lua
-- publish: make a stored batch count.
--
-- The blob was SET (with a short expiry) just before, outside Lua, because a blob that passes through
-- Lua costs 2-4 us an event more. This script judges the keys of the batch's events and enters the
-- batch in its owner's journal. It may be repeated after a lost reply: it then changes nothing and
-- answers the same.
--
-- KEYS  1 batch blob   2 journal of the owner   3 progress bitmap of the owner
--       4 idempotency index (zset, score = expiry)   5 idempotency answers (hash)
--       6 uid index (zset)                           7 uid answers (hash)
-- ARGV  1 batch id   2 sequence (the score in the journal)   3 most batches the journal may hold
--       4 most idempotency keys   5 their time to live in ms   6 most uids   7 their time to live in ms
--       then for each event with a key or uid, five values:
--         idempotency member ("" = none), uid member ("" = none), answer, first ordinal, ordinals
--       A member is a fixed-size hash of (application, key). An answer starts with the event's id
--       (31 bytes); the rest belongs to the caller.
-- Reply {status, now in ms, verdict, verdict, ...}: status is "ok", "noblob" or "journal_full"; one
--       verdict for each event with a key: 0 = it is new, "d<answer>" = duplicate of that event,
--       "u<answer>" = its uid belongs to that event, "f" = no room for its key.
-- Cost  without keys 4 commands a batch; 4-5 commands an event with a key.
-- Guarantee: either nothing is written ("noblob", "journal_full", or an error reply before the first
--       write: without allow-oom Redis refuses the whole script when memory is out), or the batch is
--       in the journal, its blob has no expiry, its new keys are taken, and the ordinals of refused
--       events are marked, so that no recovery delivers them.

local ID_BYTES = 31
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('EXISTS', KEYS[1]) == 0 then
    return {'noblob', now}
end
local repeated = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not repeated and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
    return {'journal_full', now}
end

-- Removes some entries that have expired, so that room is made at the pace it is used.
local function trim(index, answers, most)
    local expired = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, most)
    if #expired > 0 then
        redis.call('ZREM', index, unpack(expired))
        redis.call('HDEL', answers, unpack(expired))
    end
end

-- The answer stored for a member, unless there is none, it has expired, or it is this very event.
local function holder(index, answers, member, answer)
    local stored = redis.call('HGET', answers, member)
    if not stored or string.sub(stored, 1, ID_BYTES) == string.sub(answer, 1, ID_BYTES) then
        return nil
    end
    local expiry = redis.call('ZSCORE', index, member)
    if not expiry or tonumber(expiry) <= now then
        return nil
    end
    return stored
end

local reply = {'ok', now}
local items = (#ARGV - 7) / 5
if items > 0 then
    local idem_max, uid_max = tonumber(ARGV[4]), tonumber(ARGV[6])
    local idem_until, uid_until = now + ARGV[5], now + ARGV[7]
    if not repeated then
        local most = math.min(2 * items + 16, 1000)
        trim(KEYS[4], KEYS[5], most)
        trim(KEYS[6], KEYS[7], most)
    end
    local idem_count, uid_count = redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[6])
    for i = 0, items - 1 do
        local at = 8 + 5 * i
        local idem, uid, answer = ARGV[at], ARGV[at + 1], ARGV[at + 2]
        local verdict = 0
        local stored = idem ~= '' and holder(KEYS[4], KEYS[5], idem, answer)
        if stored then
            verdict = 'd' .. stored
        else
            stored = uid ~= '' and holder(KEYS[6], KEYS[7], uid, answer)
            if stored then
                verdict = 'u' .. stored
            elseif not repeated then
                if (idem ~= '' and idem_count >= idem_max) or (uid ~= '' and uid_count >= uid_max) then
                    verdict = 'f'
                else
                    if idem ~= '' then
                        idem_count = idem_count + redis.call('ZADD', KEYS[4], idem_until, idem)
                        redis.call('HSET', KEYS[5], idem, answer)
                    end
                    if uid ~= '' then
                        uid_count = uid_count + redis.call('ZADD', KEYS[6], uid_until, uid)
                        redis.call('HSET', KEYS[7], uid, answer)
                    end
                end
            elseif (idem ~= '' and not redis.call('HGET', KEYS[5], idem)) or
                   (uid ~= '' and not redis.call('HGET', KEYS[7], uid)) then
                verdict = 'f' -- what the first call answered
            end
        end
        if verdict ~= 0 and not repeated then
            for ordinal = ARGV[at + 3], ARGV[at + 3] + ARGV[at + 4] - 1 do
                redis.call('SETBIT', KEYS[3], ordinal, 1)
            end
        end
        reply[#reply + 1] = verdict
    end
end
if not repeated then
    redis.call('PERSIST', KEYS[1])
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
return reply
