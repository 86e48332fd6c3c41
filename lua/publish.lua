-- publish: make a stored batch count.
--
-- The blob was SET (with a short expiry) just before, outside Lua, because a blob that passes through
-- Lua costs 2-4 us an event more. This script judges the keys of the batch's events and enters the
-- batch in its owner's journal. It may be repeated after a lost reply: it then changes nothing and
-- answers the same, even when another replica has adopted the batch meanwhile.
--
-- KEYS  1 batch blob   2 journal of the owner   3 progress bitmap of the owner
--       4 idempotency index (zset, score = expiry)   5 idempotency answers (hash)
--       6 uid index (zset)                           7 uid answers (hash)
--       8 outcomes of the batch   9 journals (zset of every incarnation that has a journal)
-- ARGV  1 batch id   2 sequence (the score in the journal)   3 most batches the journal may hold
--       4 most idempotency keys   5 their time to live in ms   6 most uids   7 their time to live in ms
--       8 the owner's incarnation
--       then for each event with a key or uid, five values:
--         idempotency member ("" = none), uid member ("" = none), answer, first ordinal, ordinals
--       A member is a fixed-size hash of (application, key). An answer starts with the event's id
--       (31 bytes); the rest belongs to the caller.
-- Reply {status, now in ms, verdict, verdict, ...}: status is "ok", "adopted" (a repeated call: the
--       batch is stored, and in another's journal or closed), "noblob" or "journal_full"; one verdict
--       for each event with a key: 0 = it is new, "d<answer>" = duplicate of that event,
--       "u<answer>" = its uid belongs to that event, "f" = no room for its key.
-- Cost  without keys 6-7 commands a batch; 4-5 commands an event with a key, 1-15 more for a refused one.
-- Guarantee: either nothing is written ("noblob", "journal_full", an error reply), or the batch is in
--       the journal, its owner among those who have one, its blob has no expiry, its new keys are
--       taken, and the ordinals of refused events are marked, so that no recovery delivers them.
--
-- Without `#!lua`, unlike the others: a script with flags is refused as a whole when memory is out,
-- or the disk cannot be written, and then a repeated call could not learn that its batch is stored.
-- One without is refused at its first write, if that may take memory. So the first write is the
-- entry in the journal: trimming before it would make Redis let everything behind it pass.

local ID_BYTES, FIXED = 31, 8
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Only publish takes a blob's expiry away, and only a closed batch has outcomes beside an expiry.
local left = redis.call('PTTL', KEYS[1])
if left == -2 then
    return {'noblob', now}
end
local repeated = left == -1 or redis.call('EXISTS', KEYS[8]) == 1
local adopted = repeated and not redis.call('ZSCORE', KEYS[2], ARGV[1])
if not repeated then
    local batches = redis.call('ZCARD', KEYS[2])
    if batches >= tonumber(ARGV[3]) then
        return {'journal_full', now}
    end
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    redis.call('PERSIST', KEYS[1])
    if batches == 0 then -- the owner may have been buried while it was away
        redis.call('ZADD', KEYS[9], 0, ARGV[8])
    end
end

-- Removes some entries that have expired, so that room is made at the pace it is used.
local function trim(index, answers, most)
    local expired = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, most)
    if #expired > 0 then
        redis.call('ZREM', index, unpack(expired))
        redis.call('HDEL', answers, unpack(expired))
    end
end

-- The answer stored for a member, unless there is none or it is this very event.
local function other(answers, member, answer)
    local stored = member ~= '' and redis.call('HGET', answers, member)
    if stored and string.sub(stored, 1, ID_BYTES) ~= string.sub(answer, 1, ID_BYTES) then
        return stored
    end
end

-- The same, unless it has expired.
local function holder(index, answers, member, answer)
    local stored = other(answers, member, answer)
    local expiry = stored and redis.call('ZSCORE', index, member)
    if expiry and tonumber(expiry) > now then
        return stored
    end
end

-- Sets the bits of `count` ordinals: whole bytes at once, the rest one by one.
local function mark(first, count)
    local behind = first + count
    while first < behind and first % 8 > 0 do
        redis.call('SETBIT', KEYS[3], first, 1)
        first = first + 1
    end
    local bytes = math.floor((behind - first) / 8)
    if bytes > 0 then
        redis.call('SETRANGE', KEYS[3], first / 8, string.rep('\255', bytes))
    end
    for ordinal = first + 8 * bytes, behind - 1 do
        redis.call('SETBIT', KEYS[3], ordinal, 1)
    end
end

local idem_max, uid_max = tonumber(ARGV[4]), tonumber(ARGV[6])
local idem_until, uid_until = now + ARGV[5], now + ARGV[7]
local idem_count, uid_count -- of a first call

-- The verdict on an event, whose keys are taken if it is new.
local function judge(idem, uid, answer)
    local stored = holder(KEYS[4], KEYS[5], idem, answer)
    if stored then
        return 'd' .. stored
    end
    stored = holder(KEYS[6], KEYS[7], uid, answer)
    if stored then
        return 'u' .. stored
    end
    if (idem ~= '' and idem_count >= idem_max) or (uid ~= '' and uid_count >= uid_max) then
        return 'f'
    end
    if idem ~= '' then
        idem_count = idem_count + redis.call('ZADD', KEYS[4], idem_until, idem)
        redis.call('HSET', KEYS[5], idem, answer)
    end
    if uid ~= '' then
        uid_count = uid_count + redis.call('ZADD', KEYS[6], uid_until, uid)
        redis.call('HSET', KEYS[7], uid, answer)
    end
    return 0
end

-- The verdict of the first call, from what that has left. Its marks decide as long as the batch is in
-- this journal, because keys expire: an event that was refused and is called new now would be taken
-- for delivered, and be lost.
local function recall(idem, uid, answer, first, count)
    local marked = not adopted and count > 0 and redis.call('GETBIT', KEYS[3], first)
    if marked == 0 then
        return 0
    end
    local stored = other(KEYS[5], idem, answer)
    if stored then
        return 'd' .. stored
    end
    stored = other(KEYS[7], uid, answer)
    if stored then
        return 'u' .. stored
    end
    if marked == 1 or (idem ~= '' and not redis.call('HGET', KEYS[5], idem)) or
       (uid ~= '' and not redis.call('HGET', KEYS[7], uid)) then
        return 'f'
    end
    return 0
end

local reply = {adopted and 'adopted' or 'ok', now}
local items = (#ARGV - FIXED) / 5
if items > 0 and not repeated then
    local most = math.min(2 * items + 16, 1000)
    trim(KEYS[4], KEYS[5], most)
    trim(KEYS[6], KEYS[7], most)
    idem_count, uid_count = redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[6])
end
for i = 1, items do
    local at = FIXED + 5 * (i - 1)
    local idem, uid, answer = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local first, count = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
    local verdict
    if repeated then
        verdict = recall(idem, uid, answer, first, count)
    else
        verdict = judge(idem, uid, answer)
        if verdict ~= 0 then
            mark(first, count)
        end
    end
    reply[#reply + 1] = verdict
end
return reply
