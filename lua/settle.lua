#!lua flags=allow-oom
-- settle: finish, postpone or bury deliveries of the schedule, of any endpoints and events.
--
-- KEYS  1 endpoints with dead letters   2 closed   3 bytes of the closed   4 lanes (hash: lane -> its
--       owner)   then for each batch: its blob, its outcomes; for each endpoint: due, lane, attempts,
--       dead, ord; for each delivery: its event
-- ARGV  1 my incarnation   2 attempts kept   3 how long history is kept in ms (0: not)
--       4 number of batches   5 number of endpoints   then for each endpoint: its id, the number of its
--       lane   then for each delivery eleven words:
--         1 number of its endpoint, from 1 on   2 event id   3 the lease held (its end in ms), or "" to
--         take it whenever it is due (only for the endpoint's owner clearing its schedule)
--         4 attempt record ("" = none)   5 "done" (sent or cancelled), "retry" or "dead"
--         6 delivery state (retry, dead), or the log of its attempts ("" = none; done)
--         7 ms from now (retry), or the number of its batch (done)
--         8 offset of its outcome record there ("" = it has no place)   9 the record   10 bytes of the
--         event's record (done)   11 hash of its ordering key, when it leaves the queue of that; else "";
--         "*": it leaves one, if it is in any, which is looked for: it takes a look at all of them
-- Reply {now in ms, bytes of all history or -1, then for each delivery: its due time in ms, or 0: it
--       waits no more; when it has left an ordered queue, the due time of the one that is the head now, or
--       0; -1 ("stale") when the lease is not held any more (then nothing was written: another has it, or
--       this call, or an earlier one, has settled it already); without a lease also -2 ("moved") when
--       the lane is not mine, and -3 ("leased") when somebody has it in hand, who will settle it, or let
--       its lease end: the same}.
-- Cost  1-7 commands, 3-7 for each endpoint, 1 for each batch, and for each delivery 1 (retry, dead) or
--       4-9 (done: 4 if its event had no other), and 2 more to leave an ordered queue; "*" 1 for 1000 in
--       `ord`. 128 deliveries take about a millisecond.
-- Guarantee: the entry in `due` or `dead` and the field in `event` change together. An event without
--       waiting fields has an expiry and is in `closed`, or is gone. Outcomes of a closed batch have
--       an expiry from their close, those of an open one will get it there.
--
-- Fields of an event: "e" its record; an endpoint's id = it waits or is dead: its state; "=" and an
-- endpoint's id = it is finished: outcome record and log of attempts; "f" the number of these; "b" the
-- bytes of the event as `closed` has them, once it was history.
--
-- The queues of `ord` are as publish.lua has made them. The head of each is in `due` or dead, and nothing
-- else of it: who takes the head out of `due` for good, and not to the dead letters to block its queue,
-- takes it out of `ord`, too, and puts the next one into `due`. Here, and in dead_replay.lua.
--
-- A lane's score may be earlier than its endpoint's first delivery is due, which costs a look, but not
-- later. What leaves `due` only makes it earlier than it need be, so the lane is written for what
-- waits anew, and when nothing is left.

-- It takes arguments where they stand, fills the same tables again and again, and makes words of numbers
-- once: tables and numbers cost more here than the commands do.

local call, unpack, format = redis.call, unpack, string.format
local LEASED = 0.5 -- of a lease's score: lease.lua
local STALE, MOVED, IN_HAND = -1, -2, -3
local FIRST_BATCH, FIRST_ENDPOINT = 4, 5 -- behind so many keys, and so many arguments
local WORDS = 11                         -- of a delivery
local ENDPOINT, EVENT, LEASE, ATTEMPT, KIND, STATE = 1, 2, 3, 4, 5, 6
local DELAY, BATCH, OFFSET, OUTCOME, RECORD_BYTES, ORDER = 7, 7, 8, 9, 10, 11
local ORDER_HASH = 16                    -- bytes at the beginning of a member of `ord`
local ORDER_ID, ORDER_DUE = 25, 56       -- where these begin in it
-- What an event takes in Redis besides its record, and a field of it besides its value, all of it rounded
-- up by the allocator; more when its record is too large to be packed (hash-max-listpack-value). Measured.
local EVENT_BYTES, FIELD_BYTES, ROUNDED_UP, PACKED_MOST, UNPACKED_BYTES = 104, 36, 1.12, 4096, 180

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = format('%d', now)
local attempts_kept, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
local endpoints = tonumber(ARGV[5])
local endpoint_keys = FIRST_BATCH + 2 * ARGV[4]
local event_keys = endpoint_keys + 5 * endpoints
local words = FIRST_ENDPOINT + 2 * endpoints
local deliveries = (#ARGV - words) / WORDS

-- The deliveries of each endpoint, by their numbers: the first one, the one behind each.
local first, last, behind = {}, {}, {}
for n = 1, deliveries do
    local endpoint = tonumber(ARGV[words + WORDS * (n - 1) + ENDPOINT])
    behind[n] = false
    if last[endpoint] then
        behind[last[endpoint]] = n
    else
        first[endpoint] = n
    end
    last[endpoint] = n
end

-- ---- Endpoint by endpoint: what leaves `due`, or gets another time there ----------------------------

local reply = {now, -1}
local settled_for = {} -- event -> the last endpoint for which this call has settled it
-- The events that ended, and of each, and of each delivery of it, the delivery that ended before.
local ended, ended_last, ended_before = {}, {}, {}
local ids, again, gone, dead, attempts = {}, {}, {}, {}, {}

-- 0: it may be settled. `score` is its entry's.
local function judge(lease, score, lane_number)
    if lease ~= '' then
        return score and score - lease == LEASED and 0 or STALE
    end
    if call('HGET', KEYS[4], lane_number) ~= ARGV[1] then
        return MOVED
    elseif not score then
        return STALE
    end
    return score % 1 == LEASED and math.floor(score) > now and IN_HAND or 0
end

-- All of one event are ended together, below.
local function note_end(n)
    local key = KEYS[event_keys + n]
    if not ended_last[key] then
        ended[#ended + 1] = key
    end
    ended_before[n] = ended_last[key] or false
    ended_last[key] = n
end

local function list_attempts(key, count)
    if call('LPUSH', key, unpack(attempts, 1, count)) > attempts_kept then
        call('LTRIM', key, 0, attempts_kept - 1)
    end
    call('PEXPIRE', key, ARGV[3])
end

-- The hash of the key in whose queue the event is, for whoever knows nothing but its id; nil: in none.
local function find_key(ord, event)
    local pattern, page = string.rep('?', ORDER_ID - 1) .. event .. '*', {'0'}
    repeat
        page = call('ZSCAN', ord, page[1], 'MATCH', pattern, 'COUNT', '1000')
    until page[2][1] or page[1] == '0'
    return page[2][1] and string.sub(page[2][1], 1, ORDER_HASH)
end

-- The event leaves the queue of its key. Returns who is the head now, and when that is due; nothing when
-- the queue is empty, or the event was not in it (order_free.lua has taken it out).
local function leave(ord, key, event)
    if key == '*' then
        key = find_key(ord, event)
    end
    local queue = key and call('ZRANGEBYLEX', ord, '[' .. key, '[' .. key .. '\255', 'LIMIT', '0', '2')
    if not queue or not queue[1] or string.sub(queue[1], ORDER_ID, ORDER_DUE - 1) ~= event then
        return
    end
    call('ZREM', ord, queue[1])
    if queue[2] then
        return string.sub(queue[2], ORDER_ID, ORDER_DUE - 1),
               math.max(now, tonumber(string.sub(queue[2], ORDER_DUE)))
    end
end

local function settle(endpoint)
    local at = FIRST_ENDPOINT + 2 * endpoint - 1
    local id, lane_number, count, n = ARGV[at], ARGV[at + 1], 0, first[endpoint]
    local keys = endpoint_keys + 5 * (endpoint - 1)
    local due, lane, ord = KEYS[keys + 1], KEYS[keys + 2], KEYS[keys + 5]
    while n do
        count = count + 1
        ids[count] = ARGV[words + WORDS * (n - 1) + EVENT]
        n = behind[n]
    end
    local scores = call('ZMSCORE', due, unpack(ids, 1, count))
    local agains, gones, deads, tried, earliest = 0, 0, 0, 0, math.huge
    n = first[endpoint]
    for i = 1, count do
        local word, event = words + WORDS * (n - 1), ids[i]
        local score = settled_for[event] ~= endpoint and scores[i] -- it may be named twice
        local verdict = judge(ARGV[word + LEASE], score, lane_number)
        reply[2 + n] = verdict
        if verdict == 0 then
            settled_for[event] = endpoint
            local kind = ARGV[word + KIND]
            if kind == 'retry' then
                -- Never in this very millisecond: the next lease could end with mine, and my repeated
                -- call take it for mine.
                local when = now + math.max(tonumber(ARGV[word + DELAY]), 1)
                reply[2 + n] = when
                earliest = math.min(earliest, when)
                again[agains + 1] = format('%d', when)
                again[agains + 2] = event
                agains = agains + 2
            else
                gones = gones + 1
                gone[gones] = event
            end
            if kind == 'done' then
                note_end(n)
            else
                call('HSET', KEYS[event_keys + n], id, ARGV[word + STATE])
            end
            if ARGV[word + ORDER] ~= '' then
                local follower, when = leave(ord, ARGV[word + ORDER], event)
                if follower then
                    reply[2 + n] = when
                    earliest = math.min(earliest, when)
                    again[agains + 1] = format('%d', when)
                    again[agains + 2] = follower
                    agains = agains + 2
                end
            end
            if kind == 'dead' then
                dead[deads + 1] = now_text
                dead[deads + 2] = event
                deads = deads + 2
            end
            if ARGV[word + ATTEMPT] ~= '' then
                tried = tried + 1
                attempts[tried] = ARGV[word + ATTEMPT]
            end
        end
        n = behind[n]
    end
    if gones > 0 then
        call('ZREM', due, unpack(gone, 1, gones))
    end
    if agains > 0 then
        call('ZADD', due, unpack(again, 1, agains))
        call('ZADD', lane, 'LT', format('%d', earliest), id)
    elseif gones > 0 and call('EXISTS', due) == 0 then
        call('ZREM', lane, id)
    end
    if deads > 0 then
        call('ZADD', KEYS[keys + 4], unpack(dead, 1, deads))
        call('ZADD', KEYS[1], '0', id)
    end
    if tried > 0 and attempts_kept > 0 then
        list_attempts(KEYS[keys + 3], tried)
    end
end

for endpoint = 1, endpoints do
    settle(endpoint)
end

-- ---- Event by event: what has come to its end -------------------------------------------------------

local lasts, dropped, members, entries = {}, {}, {}, {}
local targets, names, fields = {}, {}, {}
local keep_until = format('%d', now + keep)

-- How long the batch is kept: ms, -1 while it is open, -2 when it is gone.
local function lasting(batch)
    lasts[batch] = lasts[batch] or call('PTTL', KEYS[FIRST_BATCH + 2 * batch - 1])
    return lasts[batch]
end

-- The outcomes go to their places in the batch while that is kept; without a place, or with attempts
-- to tell of, or when it was finished before and replayed, to fields of the event. Puts these and
-- their values into `fields`; returns how many words that is, their bytes, and the number of finished
-- ones with them.
local function write_outcomes(n, batch, kept, known, finished)
    local count, bytes, target = 0, 0, 0
    while n do
        local word = words + WORDS * (n - 1)
        local offset, outcome, log = ARGV[word + OFFSET], ARGV[word + OUTCOME], ARGV[word + STATE]
        local placed = kept and offset ~= ''
        target = target + 1
        local before = known and known[2 + target]
        if placed then
            call('SETRANGE', KEYS[FIRST_BATCH + 2 * batch], offset, outcome)
        end
        if keep > 0 and outcome ~= '' and (not placed or log ~= '' or before) then
            fields[count + 1] = '=' .. targets[target]
            fields[count + 2] = outcome .. log
            bytes = bytes + FIELD_BYTES + #fields[count + 2]
            count = count + 2
            finished = finished + (before and 0 or 1)
        end
        n = ended_before[n]
    end
    return count, bytes, finished
end

-- What is known of others that finished before: 'f', 'b', and the fields of these targets.
local function read_finished(key, count)
    names[1], names[2] = 'f', 'b'
    for target = 1, count do
        names[2 + target] = '=' .. targets[target]
    end
    return call('HMGET', key, unpack(names, 1, 2 + count))
end

-- At the last waiting endpoint the event becomes history, without its record if the batch has that.
local function finish(key)
    local n, count = ended_last[key], 0
    local word = words + WORDS * (n - 1)
    local batch = tonumber(ARGV[word + BATCH])
    local left = lasting(batch)
    local delivery = n
    while delivery do
        count = count + 1
        targets[count] = ARGV[FIRST_ENDPOINT - 1 + 2 * ARGV[words + WORDS * (delivery - 1) + ENDPOINT]]
        delivery = ended_before[delivery]
    end
    call('HDEL', key, unpack(targets, 1, count))
    local others, before, bytes, known = call('HLEN', key) - 1, 0, false, false -- but for its record
    if others > 0 then
        known = read_finished(key, count)
        before, bytes = tonumber(known[1] or 0), known[2]
    end
    local written, size, finished = write_outcomes(n, batch, left ~= -2, known, before)
    local last_one = others <= (bytes and 1 or 0) + (before > 0 and 1 or 0) + before
    if finished == 0 then
        dropped[#dropped + 1] = last_one and key or nil
        return
    end
    if finished > before then
        fields[written + 1], fields[written + 2] = 'f', finished == 1 and '1' or finished
        written = written + 2
    end
    -- One that was history before, and waited again, has its size and maybe its member in `closed`.
    if others <= 0 then
        local record = tonumber(ARGV[word + RECORD_BYTES])
        size = (EVENT_BYTES + size + (left == -2 and record or 0)) * ROUNDED_UP
        bytes = format('%d', size + (record > PACKED_MOST and UNPACKED_BYTES or 0))
        fields[written + 1], fields[written + 2] = 'b', bytes
        written = written + 2
    end
    if written > 0 then
        call('HSET', key, unpack(fields, 1, written))
    end
    if not last_one then
        return
    end
    if keep == 0 and not bytes then -- others were kept until then, and nobody has listed the event
        dropped[#dropped + 1] = key
        return
    end
    local stays, stays_until = ARGV[3], keep_until
    if left ~= -2 then
        call('HDEL', key, 'e')
    end
    if left > -1 and left < keep then
        stays = math.max(left, 1)
        stays_until = format('%d', now + stays)
    end
    call('PEXPIRE', key, stays)
    if not bytes then -- others have ended before, and how much they take is not known here
        bytes = call('MEMORY', 'USAGE', key)
        call('HSET', key, 'b', bytes)
    end
    members[#members + 1] = ARGV[word + EVENT] .. ':' .. bytes
    entries[2 * #members - 1] = stays_until
    entries[2 * #members] = members[#members]
end

for _, key in ipairs(ended) do
    finish(key)
end
if #dropped > 0 then
    call('UNLINK', unpack(dropped))
end
if #members > 0 then
    local listed, added = call('ZMSCORE', KEYS[2], unpack(members)), 0
    for n, member in ipairs(members) do
        added = added + (listed[n] and 0 or tonumber(string.match(member, ':(%d+)$')))
    end
    call('ZADD', KEYS[2], unpack(entries))
    reply[2] = call('INCRBY', KEYS[3], added)
end
return reply
