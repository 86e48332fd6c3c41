#!lua flags=allow-oom
-- close: take batches whose deliveries are all finished or moved out of the journal.
--
-- KEYS  1 journal   2 closed   3 bytes of the closed   then for each batch: its blob, its progress
--       bitmap, its outcomes
-- ARGV  1 how long history is kept in ms (0: not at all)   then for each batch:
--         its id   bytes of its blob   "all" and the outcome records of all its ordinals; or "moved"
--         and the number of its ordinals; or the number of runs and for each the offset and the
--         records: those of moved deliveries are written by their settle, before or after this
-- Reply {now in ms, bytes of all that is kept as history, how many of these were in the journal}
-- Cost  6 commands, and 2 for each batch whose ordinals have all finished, or were all moved; else 3
--       and its runs.
-- Guarantee: every key that belongs to a batch has an expiry afterwards or is gone. As long as the
--       blob is kept there are outcomes, if only an empty one, with the same expiry: so a settle
--       writes to them without a thought for expiries, and they tell a late repetition of the batch's
--       publish that it is too late. A repeated call changes nothing.
--
-- "moved": all deliveries wait, or are dead, so each event has a hash of its own and the blob is only
-- a second copy. It is dropped when Redis says the same: all bits of the progress map are set, and
-- nothing was settled yet, because the outcome of that is with the batch. The caller says "moved"
-- only if no copy of the batch's publish can be on its way any more: without outcomes nothing would
-- tell it that it is too late.

local OUTCOME_BYTES = 12
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
    redis.call('PEXPIRE', outcomes, keep)
    return length
end

local ids, batches = {}, {}
local at = 2
while at <= #ARGV do
    local n = #ids + 1
    local what = ARGV[at + 2]
    local runs = tonumber(what)
    ids[n] = ARGV[at]
    batches[n] = {blob = KEYS[3 * n + 1], progress = KEYS[3 * n + 2], outcomes = KEYS[3 * n + 3],
                  bytes = ARGV[at + 1], runs = runs, at = at + 3,
                  moved = what == 'moved' and tonumber(ARGV[at + 3])}
    at = at + 3 + (runs and 2 * runs or 1)
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

local closed, gone, entries, bytes = 0, {}, {}, 0
local journal, seen = redis.call('ZMSCORE', KEYS[1], unpack(ids)), {}
for n, batch in ipairs(batches) do
    -- A batch that was adopted from me and came back may be named twice.
    if journal[n] and not seen[ids[n]] then
        seen[ids[n]] = true
        closed = closed + 1
        gone[#gone + 1] = batch.progress
        if keep == 0 or only_moved(batch) then
            gone[#gone + 1] = batch.blob
            gone[#gone + 1] = batch.outcomes
        else
            local length
            if batch.runs then
                length = write_runs(batch.outcomes, batch.at, batch.runs)
            else
                length = #ARGV[batch.at]
                redis.call('SET', batch.outcomes, ARGV[batch.at], 'PX', keep)
            end
            redis.call('PEXPIRE', batch.blob, keep)
            length = length + batch.bytes
            bytes = bytes + length
            entries[#entries + 1] = now + keep
            entries[#entries + 1] = ids[n] .. ':' .. length
        end
    end
end
if closed > 0 then
    redis.call('ZREM', KEYS[1], unpack(ids))
    redis.call('UNLINK', unpack(gone))
end
if #entries > 0 then
    redis.call('ZADD', KEYS[2], unpack(entries))
    return {now, redis.call('INCRBY', KEYS[3], bytes), closed}
end
return {now, tonumber(redis.call('GET', KEYS[3]) or 0), closed}
