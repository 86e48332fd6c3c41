-- publish: make a stored batch count.
--
-- The blob was SET (with a short expiry) just before, outside Lua, because a blob that passes through
-- Lua costs 2-4 us an event more. This script judges the keys of the batch's events and enters the
-- batch in a journal: as a whole in that of the caller, its owner; or each of its parts (batch.h) in
-- the journal of the replica that has the lanes of its deliveries. It may be repeated after a lost
-- reply: it then changes nothing and answers the same, even when others have adopted or closed parts
-- of it meanwhile.
--
-- KEYS  1 batch blob   2 journal of the owner   3 progress bitmap of the batch
--       4 idempotency index (zset, score = expiry)   5 idempotency answers (hash)
--       6 uid index (zset)                           7 uid answers (hash)
--       8 outcomes of the batch   9 journals (zset of every incarnation that has a journal)
--       10 configuration (hash)
--       of a batch in parts: 11 how many parts are open   12 replicas   then the journal of each part
-- ARGV  1 batch id   2 sequence (the score in a journal)   3 most batches a journal may hold
--       4 most idempotency keys   5 their time to live in ms   6 most uids   7 their time to live in ms
--       8 the owner's incarnation   9 number of parts; 0: the batch is one whole, part 0 of the owner
--       10 version of the configuration that its events were matched by; "": new enough
--       of a batch in parts: 11 what channels begin with   then for each part that has ordinals: its
--         number, the incarnation it is for
--       then for each event with a key or uid, six values:
--         idempotency member ("" = none), uid member ("" = none), answer, first ordinal, ordinals, and
--         the bit of the progress bitmap that says that it was refused: they are behind the ordinals
--       A member is a fixed-size hash of (application, key). An answer starts with the event's id
--       (31 bytes); the rest belongs to the caller.
-- Reply {"noblob" or "journal_full", now in ms}; {"stale", now in ms, version of the configuration}: there
--       is a newer one, and the blob is gone; or {"ok", now in ms, parts, verdict, verdict, ...}:
--       parts are the numbers of those that are in the owner's journal now, "0", "0,2" or "" (all are
--       others', adopted or closed); one verdict for each event with a key: 0 = it is new,
--       "d<answer>" = duplicate of that event, "u<answer>" = its uid belongs to that event, "f" = no
--       room for its key.
-- Cost  without keys 7-8 commands a batch; 4-5 commands an event with a key, 2-16 more for a refused
--       one; 4-5 for each part of another, and 1.
-- Guarantee: either nothing counts ("noblob", "journal_full", "stale", an error reply), or each part is in
--       one journal, whose owner is among those who have one, the blob has no expiry, its new keys
--       are taken, and the ordinals of refused events are marked, so that nobody delivers them.
--
-- A part for a replica that is buried, or whose journal is full, falls to the owner: beyond the most
-- its journal may hold by the parts of one batch. One that dies behind this look is adopted from. Its
-- channel is told "b<member>" at the end, when the journal has it; who misses that finds the member by
-- comparison (core/mailbox.c).
--
-- Without `#!lua`, unlike the others: a script with flags is refused as a whole when memory is out,
-- or the disk cannot be written, and then a repeated call could not learn that its batch is stored.
-- One without is refused at its first write, if that may take memory. So the first write is an
-- entry in a journal: trimming before it would make Redis let everything behind it pass.

local ID_BYTES, FIXED, FIXED_KEYS, TOMBSTONE_BYTES = 31, 10, 12, 1
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Only publish takes a blob's expiry away: without one the batch is open. Only a batch that was closed
-- has outcomes beside an expiry. Of one that left no blob there is a tombstone (close.lua) as long as a
-- copy of this call may be on its way, maybe beside a blob that came with the copy.
local left = redis.call('PTTL', KEYS[1])
local open = left == -1
local outcomes = open and 0 or redis.call('STRLEN', KEYS[8])
if left == -2 and outcomes == 0 then
    return {'noblob', now}
end
local repeated = open or outcomes > 0
if not open and left ~= -2 and outcomes == TOMBSTONE_BYTES then
    redis.call('UNLINK', KEYS[1])
end

local whole, me = ARGV[9] == '0', ARGV[8]
local claims = whole and FIXED or FIXED + 1 + 2 * tonumber(ARGV[9]) -- they begin behind this
local parts, mine = {}, {} -- mine: numbers of those in the owner's journal
for i = 1, tonumber(ARGV[9]) do
    local number = ARGV[FIXED + 2 * i]
    parts[i] = {number = number, member = number == '0' and ARGV[1] or ARGV[1] .. '.' .. number,
                owner = ARGV[FIXED + 2 * i + 1], journal = KEYS[FIXED_KEYS + i]}
end

if repeated then
    if whole and redis.call('ZSCORE', KEYS[2], ARGV[1]) then
        mine[1] = '0'
    end
    for _, part in ipairs(parts) do
        if redis.call('ZSCORE', KEYS[2], part.member) then
            mine[#mine + 1] = part.number
        end
    end
else
    local version = ARGV[10] ~= '' and tonumber(redis.call('HGET', KEYS[10], 'version') or 0)
    if version and version > tonumber(ARGV[10]) then
        redis.call('UNLINK', KEYS[1])
        return {'stale', now, version}
    end
    local most, batches = tonumber(ARGV[3]), redis.call('ZCARD', KEYS[2])
    if batches >= most then
        return {'journal_full', now}
    end
    if whole then
        mine[1] = '0'
        redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    end
    for _, part in ipairs(parts) do -- whose is it?
        part.batches = part.owner == me and batches or redis.call('ZCARD', part.journal)
        if part.owner ~= me and
           (part.batches >= most or not redis.call('ZSCORE', KEYS[12], part.owner)) then
            part.owner, part.journal, part.batches = me, KEYS[2], batches
        end
        if part.owner == me then
            mine[#mine + 1] = part.number
        end
    end
    for _, part in ipairs(parts) do
        redis.call('ZADD', part.journal, ARGV[2], part.member)
        if part.batches == 0 and part.owner ~= me then
            redis.call('ZADD', KEYS[9], 0, part.owner)
        end
    end
    redis.call('PERSIST', KEYS[1])
    if #parts > 1 then
        redis.call('SET', KEYS[11], #parts)
    end
    if batches == 0 and mine[1] then -- the owner may have been buried while it was away
        redis.call('ZADD', KEYS[9], 0, me)
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

-- The verdict of the first call, from what that has left. The bit of the refused decides as long as the
-- batch is open (those of ordinals would not tell: others mark what they have delivered), because keys
-- expire: an event that was refused and is called new now would be taken for delivered, and be lost; one
-- that is delivered must not be called refused. When all is closed nothing depends on it but the answer,
-- and keys live longer than anybody waits for that.
local function recall(idem, uid, answer, refused)
    local marked = open and redis.call('GETBIT', KEYS[3], refused)
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

local reply = {'ok', now, table.concat(mine, ',')}
local items = (#ARGV - claims) / 6
if items > 0 and not repeated then
    local most = math.min(2 * items + 16, 1000)
    trim(KEYS[4], KEYS[5], most)
    trim(KEYS[6], KEYS[7], most)
    idem_count, uid_count = redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[6])
end
for i = 1, items do
    local at = claims + 6 * (i - 1)
    local idem, uid, answer = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local verdict
    if repeated then
        verdict = recall(idem, uid, answer, ARGV[at + 6])
    else
        verdict = judge(idem, uid, answer)
        if verdict ~= 0 then
            mark(tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]))
            redis.call('SETBIT', KEYS[3], ARGV[at + 6], 1)
        end
    end
    reply[#reply + 1] = verdict
end

-- Last, when all is written. A right to publish that is missing must not undo what the reply says.
for _, part in ipairs(not repeated and parts or {}) do
    if part.owner ~= me then
        redis.pcall('PUBLISH', ARGV[11] .. part.owner, 'b' .. part.member)
    end
end
return reply
