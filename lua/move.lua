#!lua flags=allow-oom
-- move: take deliveries out of open batches, into the schedule or to the dead letters.
--
-- KEYS  1 journal   2 endpoints with dead letters   then for each batch: its progress bitmap; for each
--       event: its hash; for each endpoint: due, lane, attempts, dead
-- ARGV  1 attempts kept   2 how long history is kept in ms   3 number of batches   4 number of events
--       5 number of endpoints
--       then for each batch: member of the journal: my part of it
--       for each event: its id, its record, the number of its batch, from 1 on
--       for each endpoint: its id
--       for each delivery: number of its event   number of its endpoint   ordinal
--         "in", "at", "leased" (it is in flight) or "dead"
--         ms from now / absolute ms / length of the lease in ms / unused
--         delivery state   attempt record ("" = none)
-- Reply {now in ms, then for each delivery: its due time in ms (of one in flight: the end of its
--       lease), or 0: it is dead, or a repeated call finds that it has ended; -1 when the part is not in
--       this journal}.
-- Cost  2 commands, 1 for each batch, 2 for each event, 2-7 for each endpoint and 1 for each delivery.
--       128 deliveries take about a millisecond.
-- Guarantee: together with the entry goes the progress bit, so the call may be repeated safely, and a
--       recovery either sees the bit and the entry or neither. The bitmap is of all parts; the ordinals
--       of mine are nobody else's as long as my journal has it.

local LEASED, GONE = '%d.5', -1 -- a lease's score: lease.lua
local FIRST_BATCH, FIRST_ENDPOINT_KEYS, EVENT_ARGS, DELIVERY_ARGS = 5, 4, 3, 7

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%d', now) -- words cost less than numbers to be made words of
local attempts_kept = tonumber(ARGV[1])

-- ---- What is asked for ----------------------------------------------------------------------------

local batches, events, endpoints, members = {}, {}, {}, {}
local at, key = FIRST_BATCH, 2
for n = 1, tonumber(ARGV[3]) do
    members[n] = ARGV[at + n]
    batches[n] = {progress = KEYS[key + n], bits = {}, asked = {}}
end
at, key = at + #batches, key + #batches
for n = 1, tonumber(ARGV[4]) do
    events[n] = {id = ARGV[at + 1], record = ARGV[at + 2], batch = batches[tonumber(ARGV[at + 3])],
                 hash = KEYS[key + n], fields = {}}
    at = at + EVENT_ARGS
end
key = key + #events
for n = 1, tonumber(ARGV[5]) do
    endpoints[n] = {id = ARGV[at + n], due = KEYS[key + 1], lane = KEYS[key + 2],
                    attempts = KEYS[key + 3], dead = KEYS[key + 4], entries = {}, letters = {},
                    tried = {}, earliest = math.huge}
    key = key + FIRST_ENDPOINT_KEYS
end
at = at + #endpoints
local deliveries = 0
for first = at + 1, #ARGV, DELIVERY_ARGS do
    deliveries = deliveries + 1
    local event = events[tonumber(ARGV[first])]
    local asked, bits = event.batch.asked, event.batch.bits
    asked[#asked + 1] = {number = deliveries, event = event,
                         endpoint = endpoints[tonumber(ARGV[first + 1])], kind = ARGV[first + 3],
                         value = ARGV[first + 4], state = ARGV[first + 5], attempt = ARGV[first + 6]}
    local bit = 4 * #asked
    bits[bit - 3], bits[bit - 2], bits[bit - 1], bits[bit] = 'SET', 'u1', ARGV[first + 2], '1'
end

-- ---- Delivery by delivery ---------------------------------------------------------------------------

local reply, again = {now}, {}

-- What is written for it is gathered; returns its due time.
local function note(asked)
    local event, endpoint, score = asked.event, asked.endpoint, 0
    local fields = event.fields
    fields[#fields + 1] = endpoint.id
    fields[#fields + 1] = asked.state
    if asked.kind == 'dead' then
        endpoint.letters[#endpoint.letters + 1] = now_text
        endpoint.letters[#endpoint.letters + 1] = event.id
    else
        score = asked.kind == 'at' and math.max(tonumber(asked.value), now) or now + asked.value
        endpoint.earliest = math.min(endpoint.earliest, score)
        local entries = endpoint.entries
        entries[#entries + 1] = string.format(asked.kind == 'leased' and LEASED or '%d', score)
        entries[#entries + 1] = event.id
    end
    endpoint.tried[#endpoint.tried + 1] = asked.attempt ~= '' and asked.attempt or nil
    return score
end

local journal = redis.call('ZMSCORE', KEYS[1], unpack(members))
for n, batch in ipairs(batches) do
    -- The bits as they were before: one that was set tells of a repeated call.
    local were = journal[n] and redis.call('BITFIELD', batch.progress, unpack(batch.bits))
    for i, asked in ipairs(batch.asked) do
        if not were then
            reply[1 + asked.number] = GONE
        elseif were[i] == 1 then
            again[#again + 1] = asked
        else
            reply[1 + asked.number] = note(asked)
        end
    end
end

-- ---- What is to be written --------------------------------------------------------------------------

for _, event in ipairs(events) do
    if #event.fields > 0 then
        redis.call('HSETNX', event.hash, 'e', event.record)
        redis.call('HSET', event.hash, unpack(event.fields))
        redis.call('PERSIST', event.hash) -- it may have been history, if its batch was stored again
    end
end
for _, endpoint in ipairs(endpoints) do
    if #endpoint.entries > 0 then
        redis.call('ZADD', endpoint.due, unpack(endpoint.entries))
        redis.call('ZADD', endpoint.lane, 'LT', string.format('%d', endpoint.earliest),
                   endpoint.id)
    end
    if #endpoint.letters > 0 then
        redis.call('ZADD', endpoint.dead, unpack(endpoint.letters))
        redis.call('ZADD', KEYS[2], '0', endpoint.id)
    end
    if #endpoint.tried > 0 and attempts_kept > 0 then
        if redis.call('LPUSH', endpoint.attempts, unpack(endpoint.tried)) > attempts_kept then
            redis.call('LTRIM', endpoint.attempts, 0, attempts_kept - 1)
        end
        redis.call('PEXPIRE', endpoint.attempts, ARGV[2])
    end
end
for _, asked in ipairs(again) do
    reply[1 + asked.number] =
        math.floor(redis.call('ZSCORE', asked.endpoint.due, asked.event.id) or 0)
end
return reply
