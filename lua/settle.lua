#!lua flags=allow-oom
-- settle: finish, postpone or bury deliveries of the schedule, of any endpoints and events.
--
-- KEYS  1 endpoints with dead letters   2 closed   3 bytes of the closed   4 lanes (hash: lane -> its
--       owner)   then for each batch: its blob, its outcomes; for each endpoint: due, lane, attempts,
--       dead; for each delivery: its event
-- ARGV  1 my incarnation   2 attempts kept   3 how long history is kept in ms (0: not)
--       4 number of batches   5 number of endpoints   then for each endpoint: its id, the number of its
--       lane   then for each delivery:
--         number of its endpoint, from 1 on   event id
--         the lease held (its end in ms), or "" to take it whenever it is due (only for the endpoint's
--         owner clearing its schedule)
--         attempt record ("" = none)
--         "done" (sent or cancelled)   log of its attempts ("" = none)   number of its batch
--           offset of its outcome record there ("" = it has no place)   the record   bytes of the
--           event's record
--         or "retry"   delivery state   ms from now
--         or "dead"   delivery state
-- Reply {now in ms, bytes of all history or -1, then for each delivery: its due time in ms, or 0: it
--       waits no more; -1 ("stale") when the lease is not held any more (then nothing was written:
--       another has it, or this call, or an earlier one, has settled it already); without a lease also
--       -2 ("moved") when the lane is not mine, and -3 ("leased") when somebody has it in hand, who
--       will settle it, or let its lease end: the same}.
-- Cost  1-7 commands, 3-7 for each endpoint, 1 for each batch, and for each delivery 1 (retry, dead) or
--       4-9 (done: 4 if its event had no other). 128 deliveries take about a millisecond.
-- Guarantee: the entry in `due` or `dead` and the field in `event` change together. An event without
--       waiting fields has an expiry and is in `closed`, or is gone. Outcomes of a closed batch have
--       an expiry from their close, those of an open one will get it there.
--
-- Fields of an event: "e" its record; an endpoint's id = it waits or is dead: its state; "=" and an
-- endpoint's id = it is finished: outcome record and log of attempts; "f" the number of these; "b" the
-- bytes of the event as `closed` has them, once it was history.
--
-- A lane's score may be earlier than its endpoint's first delivery is due, which costs a look, but not
-- later. What leaves `due` only makes it earlier than it need be, so the lane is written for what
-- waits anew, and when nothing is left.

local LEASED = 0.5 -- of a lease's score: lease.lua
local STALE, MOVED, IN_HAND = -1, -2, -3
local BATCH_KEYS, ENDPOINT_KEYS = 2, 4
local FIRST_BATCH, FIRST_ENDPOINT = 4, 5 -- behind so many keys, and so many arguments
-- What an event takes in Redis besides its record, and a field of it besides its value; measured.
local EVENT_BYTES, FIELD_BYTES = 360, 100

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local attempts_kept, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
local batches, endpoints = tonumber(ARGV[4]), tonumber(ARGV[5])

-- ---- What is asked for ----------------------------------------------------------------------------

local by_endpoint, deliveries = {}, 0
local key = FIRST_BATCH + BATCH_KEYS * batches
for n = 1, endpoints do
    local at = FIRST_ENDPOINT + 2 * n - 1
    by_endpoint[n] = {id = ARGV[at], lane_number = ARGV[at + 1], due = KEYS[key + 1],
                      lane = KEYS[key + 2], attempts = KEYS[key + 3], dead = KEYS[key + 4],
                      asked = {}, events = {}}
    key = key + ENDPOINT_KEYS
end
local at = FIRST_ENDPOINT + 2 * endpoints + 1
while at <= #ARGV do
    deliveries = deliveries + 1
    local endpoint = by_endpoint[tonumber(ARGV[at])]
    local kind = ARGV[at + 4]
    local asked = {number = deliveries, event = ARGV[at + 1], lease = ARGV[at + 2],
                   attempt = ARGV[at + 3], kind = kind, state = ARGV[at + 5],
                   key = KEYS[key + deliveries], endpoint = endpoint.id}
    if kind == 'done' then
        asked.batch, asked.offset, asked.outcome = tonumber(ARGV[at + 6]), ARGV[at + 7], ARGV[at + 8]
        asked.record_bytes = ARGV[at + 9]
        at = at + 10
    elseif kind == 'retry' then
        -- Never in this very millisecond: the next lease could end with mine, and my repeated call
        -- take it for mine.
        asked.due = now + math.max(tonumber(ARGV[at + 6]), 1)
        at = at + 7
    else
        at = at + 6
    end
    endpoint.asked[#endpoint.asked + 1] = asked
    endpoint.events[#endpoint.events + 1] = asked.event
end

-- ---- Endpoint by endpoint: what leaves `due`, or gets another time there ----------------------------

local reply, ended, ended_by_key = {now, -1}, {}, {}

-- 0: it may be settled. `score` is its entry's.
local function judge(asked, endpoint, score)
    if asked.lease == '' then
        if endpoint.mine == nil then
            endpoint.mine = redis.call('HGET', KEYS[4], endpoint.lane_number) == ARGV[1]
        end
        if not endpoint.mine then
            return MOVED
        end
    end
    if not score or (asked.lease ~= '' and tonumber(score) ~= asked.lease + LEASED) then
        return STALE
    end
    if asked.lease == '' and score % 1 == LEASED and math.floor(score) > now then
        return IN_HAND
    end
    return 0
end

-- All of one event are ended together, below.
local function note_end(asked)
    local event = ended_by_key[asked.key]
    if not event then
        event = {key = asked.key, id = asked.event, batch = asked.batch,
                 record_bytes = asked.record_bytes, targets = {}}
        ended_by_key[asked.key] = event
        ended[#ended + 1] = event
    end
    event[#event + 1] = asked
    event.targets[#event] = asked.endpoint
end

local function list_attempts(endpoint, attempts)
    if #attempts == 0 or attempts_kept == 0 then
        return
    end
    if redis.call('LPUSH', endpoint.attempts, unpack(attempts)) > attempts_kept then
        redis.call('LTRIM', endpoint.attempts, 0, attempts_kept - 1)
    end
    redis.call('PEXPIRE', endpoint.attempts, ARGV[3])
end

local function settle(endpoint)
    local scores, seen = redis.call('ZMSCORE', endpoint.due, unpack(endpoint.events)), {}
    local again, gone, dead, attempts, earliest = {}, {}, {}, {}, math.huge
    for n, asked in ipairs(endpoint.asked) do
        local verdict = judge(asked, endpoint, not seen[asked.event] and scores[n])
        reply[2 + asked.number] = verdict
        if verdict == 0 then
            seen[asked.event] = true
            if asked.kind == 'retry' then
                reply[2 + asked.number] = asked.due
                earliest = math.min(earliest, asked.due)
                again[#again + 1] = asked.due
                again[#again + 1] = asked.event
                redis.call('HSET', asked.key, endpoint.id, asked.state)
            elseif asked.kind == 'dead' then
                gone[#gone + 1] = asked.event
                dead[#dead + 1] = now
                dead[#dead + 1] = asked.event
                redis.call('HSET', asked.key, endpoint.id, asked.state)
            else
                gone[#gone + 1] = asked.event
                note_end(asked)
            end
            attempts[#attempts + 1] = asked.attempt ~= '' and asked.attempt or nil
        end
    end
    if #gone > 0 then
        redis.call('ZREM', endpoint.due, unpack(gone))
    end
    if #again > 0 then
        redis.call('ZADD', endpoint.due, unpack(again))
        redis.call('ZADD', endpoint.lane, 'LT', earliest, endpoint.id)
    elseif #gone > 0 and redis.call('EXISTS', endpoint.due) == 0 then
        redis.call('ZREM', endpoint.lane, endpoint.id)
    end
    if #dead > 0 then
        redis.call('ZADD', endpoint.dead, unpack(dead))
        redis.call('ZADD', KEYS[1], 0, endpoint.id)
    end
    list_attempts(endpoint, attempts)
end

for _, endpoint in ipairs(by_endpoint) do
    settle(endpoint)
end

-- ---- Event by event: what has come to its end -----------------------------------------------------

local lasts, dropped, members, times = {}, {}, {}, {}

-- How long the batch is kept: ms, -1 while it is open, -2 when it is gone.
local function lasting(batch)
    if not lasts[batch] then
        lasts[batch] = redis.call('PTTL', KEYS[FIRST_BATCH + BATCH_KEYS * (batch - 1) + 1])
    end
    return lasts[batch]
end

-- The outcomes go to their places in the batch while that is kept; without a place, or with attempts
-- to tell of, or when it was finished before and replayed, to fields of the event. Returns these
-- fields and their values, the bytes of both, and the number of finished ones with them.
local function write_outcomes(event, kept, known, finished)
    local fields, bytes = {}, 0
    for n, asked in ipairs(event) do
        local placed = kept and asked.offset ~= ''
        local before = known and known[2 + n]
        if placed then
            redis.call('SETRANGE', KEYS[FIRST_BATCH + BATCH_KEYS * event.batch], asked.offset,
                       asked.outcome)
        end
        if keep > 0 and asked.outcome ~= '' and (not placed or asked.state ~= '' or before) then
            fields[#fields + 1] = '=' .. asked.endpoint
            fields[#fields + 1] = asked.outcome .. asked.state
            bytes = bytes + FIELD_BYTES + #asked.outcome + #asked.state
            finished = finished + (before and 0 or 1)
        end
    end
    return fields, bytes, finished
end

-- At the last waiting endpoint the event becomes history, without its record if the batch has that.
local function finish(event)
    local left = lasting(event.batch)
    redis.call('HDEL', event.key, unpack(event.targets))
    local others = redis.call('HLEN', event.key) - 1 -- but for its record
    local known, before, bytes = false, 0, false
    if others > 0 then
        local names = {'f', 'b'}
        for n, endpoint in ipairs(event.targets) do
            names[2 + n] = '=' .. endpoint
        end
        known = redis.call('HMGET', event.key, unpack(names))
        before, bytes = tonumber(known[1] or 0), known[2]
    end
    local fields, size, finished = write_outcomes(event, left ~= -2, known, before)
    if finished > before then
        fields[#fields + 1] = 'f'
        fields[#fields + 1] = finished
    end
    local last = others <= (bytes and 1 or 0) + (before > 0 and 1 or 0) + before
    if finished == 0 then
        dropped[#dropped + 1] = last and event.key or nil
        return
    end
    -- One that was history before, and waited again, has its size and maybe its member in `closed`.
    if last and not bytes and others <= 0 then
        bytes = EVENT_BYTES + size + (left == -2 and event.record_bytes or 0)
        fields[#fields + 1] = 'b'
        fields[#fields + 1] = bytes
    end
    if #fields > 0 then
        redis.call('HSET', event.key, unpack(fields))
    end
    if not last then
        return
    end
    local stays = keep
    if left ~= -2 then
        redis.call('HDEL', event.key, 'e')
        stays = left > -1 and math.max(math.min(left, keep), 1) or keep
    end
    redis.call('PEXPIRE', event.key, stays)
    if not bytes then -- others have ended before, and how much they take is not known here
        bytes = redis.call('MEMORY', 'USAGE', event.key)
        redis.call('HSET', event.key, 'b', bytes)
    end
    members[#members + 1] = event.id .. ':' .. bytes
    times[#times + 1] = now + stays
end

for _, event in ipairs(ended) do
    finish(event)
end
if #dropped > 0 then
    redis.call('UNLINK', unpack(dropped))
end
if #members > 0 then
    local listed, entries, added = redis.call('ZMSCORE', KEYS[2], unpack(members)), {}, 0
    for n, member in ipairs(members) do
        entries[2 * n - 1] = times[n]
        entries[2 * n] = member
        added = added + (listed[n] and 0 or tonumber(string.match(member, ':(%d+)$')))
    end
    redis.call('ZADD', KEYS[2], unpack(entries))
    reply[2] = redis.call('INCRBY', KEYS[3], added)
end
return reply
