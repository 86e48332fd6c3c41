#!lua flags=allow-oom
-- close: take parts of batches whose deliveries are all finished or moved out of the journal; the last
-- part of a batch ends it.
--
-- KEYS  1 journal   2 closed   3 bytes of the closed   then for each part: its batch's blob, progress
--       bitmap and outcomes; and how many parts are open, if there are others
-- ARGV  1 how long history is kept in ms (0: not at all)   then for each part:
--         its member of the journal   bytes of the blob
--         flags: "s" (sure): no copy of the batch's publish can come any more; "p": there are other
--         parts; "sp" both; "" neither
--         "all" and the outcome records of all ordinals of the batch; or "moved" and the number of
--         these: all ordinals of the part were moved; or the number of runs and for each the offset
--         and the records: those of moved deliveries are written by their settle, before or after this
-- Reply {now in ms, bytes of all that is kept as history, how many batches ended by this}
-- Cost  6 commands, and 2 for each batch whose ordinals have all finished, or were all moved; else 3
--       and its runs; 2 more for a batch in parts.
-- Guarantee: every key that belongs to a batch has an expiry afterwards or is gone; before its last
--       part is closed only the part leaves its journal. As long as the blob is kept there are
--       outcomes, if only an empty one, with the same expiry: so a settle writes to them without a
--       thought for expiries, and they tell a late repetition of the batch's publish that it is too
--       late. A repeated call changes nothing: the member is in no journal then.
--
-- "moved": all deliveries wait, or are dead, so each event has a hash of its own and the blob is only
-- a second copy. It is dropped when Redis says the same of all parts: all bits of the progress map are
-- set, and nothing was settled yet, because the outcome of that is with the batch. A part that was not
-- all moved leaves outcomes, if only an empty one, so the last one knows.
--
-- A batch that leaves no blob, and so no outcomes, leaves a tombstone in their place for a while,
-- unless the caller is sure: it alone would not know of a repetition, or of a copy of one that Redis
-- reads late, and its deliveries would all be made again.

local OUTCOME_BYTES, ID_CHARS, TOMBSTONE_MS = 12, 26, 600000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = tonumber(ARGV[1])

-- Writes the runs that begin at ARGV[at]; returns how long the outcomes are then.
local function write_runs(outcomes, at, runs)
    local length = 0
    for i = at, at + 2 * runs - 1, 2 do
        length = redis.call('SETRANGE', outcomes, ARGV[i], ARGV[i + 1])
    end
    if length == 0 then
        length = redis.call('STRLEN', outcomes)
    end
    if length == 0 then
        length = redis.call('SETRANGE', outcomes, 0, string.rep('\0', OUTCOME_BYTES))
    end
    return length
end

local members, batches = {}, {}
local at, key = 2, 4
while at <= #ARGV do
    local n = #members + 1
    local flags, what = ARGV[at + 2], ARGV[at + 3]
    local runs = tonumber(what)
    local several = flags == 'p' or flags == 'sp'
    members[n] = ARGV[at]
    batches[n] = {blob = KEYS[key], progress = KEYS[key + 1], outcomes = KEYS[key + 2],
                  open = several and KEYS[key + 3], sure = flags == 's' or flags == 'sp',
                  bytes = ARGV[at + 1], runs = runs, at = at + 4,
                  moved = what == 'moved' and tonumber(ARGV[at + 4])}
    at = at + 4 + (runs and 2 * runs or 1)
    key = key + (several and 4 or 3)
end

-- Are other parts of its batch open? Then this one is counted off, and its outcomes stay without an
-- expiry, as the blob does.
local function others_open(batch)
    if not batch.open or tonumber(redis.call('GET', batch.open) or 1) <= 1 then
        return false
    end
    redis.call('DECR', batch.open)
    if keep > 0 and batch.runs then
        write_runs(batch.outcomes, batch.at, batch.runs)
    end
    return true
end

-- May its blob be dropped? If not, it is closed as one without outcomes yet.
local function only_moved(batch)
    if batch.moved and redis.call('BITCOUNT', batch.progress) == batch.moved and
       redis.call('EXISTS', batch.outcomes) == 0 then
        return true
    end
    if batch.moved then
        batch.runs = 0
    end
    return false
end

local ended, gone, entries, bytes = 0, {}, {}, 0
local journal, seen = redis.call('ZMSCORE', KEYS[1], unpack(members)), {}

-- Ends the batch whose last part this is.
local function finish(batch, id)
    ended = ended + 1
    gone[#gone + 1] = batch.progress
    gone[#gone + 1] = batch.open or nil
    if keep == 0 or only_moved(batch) then
        gone[#gone + 1] = batch.blob
        if batch.sure then
            gone[#gone + 1] = batch.outcomes
        else
            redis.call('SET', batch.outcomes, '\0', 'PX', TOMBSTONE_MS)
        end
        return
    end
    local length
    if batch.runs then
        length = write_runs(batch.outcomes, batch.at, batch.runs)
        redis.call('PEXPIRE', batch.outcomes, keep)
    else
        length = #ARGV[batch.at]
        redis.call('SET', batch.outcomes, ARGV[batch.at], 'PX', keep)
    end
    redis.call('PEXPIRE', batch.blob, keep)
    length = length + batch.bytes
    bytes = bytes + length
    entries[#entries + 1] = now + keep
    entries[#entries + 1] = id .. ':' .. length
end

local closed = false
for n, batch in ipairs(batches) do
    -- A part that was adopted from me and came back may be named twice.
    if journal[n] and not seen[members[n]] then
        seen[members[n]] = true
        closed = true
        if not others_open(batch) then
            finish(batch, string.sub(members[n], 1, ID_CHARS))
        end
    end
end
if closed then
    redis.call('ZREM', KEYS[1], unpack(members))
end
if #gone > 0 then
    redis.call('UNLINK', unpack(gone))
end
if #entries > 0 then
    redis.call('ZADD', KEYS[2], unpack(entries))
    return {now, redis.call('INCRBY', KEYS[3], bytes), ended}
end
return {now, tonumber(redis.call('GET', KEYS[3]) or 0), ended}
