-- publish: make a stored batch count.
--
-- The blob was SET (with a short expiry) just before, outside Lua, because a blob that passes through
-- Lua costs 2-4 us an event more. This script judges the keys of the batch's events and enters the
-- batch in a journal: as a whole in that of the caller, its owner; or each of its parts (batch.h) in
-- the journal of the replica that has the lanes of its deliveries. It may be repeated after a lost
-- reply: it then changes nothing and answers the same, even when others have adopted or closed parts
-- of it meanwhile.
--
-- KEYS  1 batch blob   2 journal of the owner   3 outcomes of the batch
--       4 journals (zset of every incarnation that has a journal)   5 configuration (hash)
--       of a batch in parts: how many parts are open, replicas, then the journal of each part
--       of one with entries of feeds: their streams, then its progress bitmap
--       of one with keys: its progress bitmap; index of idempotency keys (zset, score = expiry), the keys
--         (hash), lists of keys (hash)
--       of one with uids or deduplication keys: the same three for uids
--       of one with deduplication keys: the same three for them
--       of one with ordered deliveries: its progress bitmap, the sequence of these (a number), for each
--         endpoint that has any: `ord`, due, lane; for each event: its hash
-- ARGV  1 batch id   2 sequence (the score in a journal)   3 most batches a journal may hold
--       4 the owner's incarnation
--       5 version of the configuration that its events were matched by; "": new enough
--       6 number of parts; 0: the batch is one whole, part 0 of the owner
--       7 number of streams that events of it came out of
--       8 number of words about ordered deliveries, which are the last ones
--       of a batch in parts: what channels begin with, then for each part that has ordinals: its
--         number, the incarnation it is for
--       of one with entries of feeds, for each stream: its unbroken rows of entries (feed_claims.h),
--         "<first id> <id behind the last> <entries> " each; the ids of all, a blank behind each; and of
--         each 12 bytes: first ordinal, ordinals, the bit of the progress bitmap for its refusal
--       of one with keys, that is with idempotency keys, uids or deduplication keys:
--         of each event with a key 13 bytes: what it has (1 an idempotency key, 2 a uid, 4 a deduplication
--         key, or several of them together), its first ordinal, ordinals, and the bit of the progress
--         bitmap that says that it was refused: they are behind the ordinals
--         most idempotency keys, their time to live in ms, the members for those that events have, and
--         these again with the answer behind each; the last two may be empty
--       of one with uids or deduplication keys: the same four for uids
--       of one with deduplication keys: the same four for them; their time to live is "": each has its own
--       of one with ordered deliveries: how many endpoints, how many events   each endpoint's id   for each
--         event: its id, its record, the bit of the progress bitmap for its refusal   for each delivery, in
--         the order of events: number of its event, number of its endpoint, its ordinal, hash of the
--         ordering key (16 bytes), when it is due in ms (0: now), delivery state
--       A member is a hash of what makes the key one, 16 bytes. An answer, 30 bytes, starts with the
--       event's id, whose first 15 bytes name its batch; the rest belongs to the caller (key_claims.h). That
--       for a deduplication key starts with these 15 and 6 bytes more, its time to live in ms, lowest byte
--       first. Members come twice because to pick them out here would take longer.
-- Reply {"noblob" or "journal_full", 0}; {"stale", 0, version of the configuration}: there is a newer
--       one, and the blob is gone; or {"ok", now in ms, parts, verdict, verdict, ...}: the time is 0 when
--       there are no keys; parts are the numbers of those that are in the owner's journal now, "0", "0,2"
--       or "" (all are others', adopted or closed). No verdicts: all events are new. Else there is one for
--       each event with a key: 0 = it is new, "d<answer>" = duplicate of that event, by its idempotency key;
--       "s<answer>" = the same, by its deduplication key; "u<answer>" = its uid belongs to that event; "f" =
--       no room for its key, or who has it is refused, too. Behind them a list of the events that were
--       refused because their entries are not in their streams any more, by the numbers of their bits;
--       there is none when none was.
-- Cost  without keys 6-7 commands a batch. With idempotency keys 6-7 more, with uids 5-6, with
--       deduplication keys 4 and 1-2 for each time to live, however many; 5 for each batch of which expired
--       keys are dropped. When a key is not new: 1-2, and 2-16 for each event that is refused. 4-5 for each
--       part of another, and 1. 2 for each unbroken row of entries; if that is not what its stream begins
--       with, or the stream has gaps, 2 and 1 for each entry. Of ordered deliveries 2 for each event,
--       1-3 for each endpoint, 1 for each of its keys, and 2: about 3 us a delivery, 10 when each is an
--       endpoint's first.
-- Guarantee: either nothing counts ("noblob", "journal_full", "stale", an error reply), or each part is in
--       one journal, whose owner is among those who have one, the blob has no expiry, its new keys
--       are taken, the entries that it publishes have left their streams, and the ordinals of refused
--       events are marked, so that nobody delivers them.
--
-- Keys of a kind are fields of one hash: member -> answer. All that a batch has taken expire together, so
-- the index by expiry has one entry for them, named as the batch: 15 bytes that its answers start with;
-- under that name there is the list of their members. A batch that has one key needs no list: its entry
-- is the member. So a key leads to its expiry, by way of its answer, and what has expired to its keys.
-- A later event may have taken one since: such a key is not of the old batch any more, and stays.
-- Of deduplication keys those expire together that a batch has taken for the same time: their entry is
-- named as the batch and that time, the first 21 bytes of their answers.
--
-- A part for a replica that is buried, or whose journal is full, falls to the owner: beyond the most
-- its journal may hold by the parts of one batch. One that dies behind this look is adopted from. Its
-- channel is told "b<member>" at the end, when the journal has it; who misses that finds the member by
-- comparison (core/mailbox.c).
--
-- Ordered deliveries (core/ordering.h) are in the schedule from here on: their bits are set, so that nobody
-- else has them, whatever becomes of the batch. So their order is that in which this script was called.
-- Each joins the queue of its key in `ord`, a zset of the endpoint by name: hash of the key, sequence,
-- event, when it is due. The first of a key is its head: it is in `due`, too, and stays in its queue until it
-- is settled (settle.lua).
--
-- Without `#!lua`, unlike the others: a script with flags is refused as a whole when memory is out,
-- or the disk cannot be written, and then a repeated call could not learn that its batch is stored.
-- One without is refused at its first write, if that may take memory. So the first write is an
-- entry in a journal: trimming before it would make Redis let everything behind it pass.

-- An entry of a feed is new as long as it is in its stream: nothing but this takes entries out that are
-- to be published. To take many out and know of each whether it was there would be a command each. But
-- a stream that has no gaps, and begins with the first entry of an unbroken row, has all of that row: it
-- can be cut off behind it. (Where XTRIM is forbidden they are taken out one by one: an error behind the first
-- write would store the batch and say that it is not.) An entry whose event is refused because of its key
-- stays, for the caller.

local KEYS_FIXED, ARGS_FIXED, TOMBSTONE_BYTES = 5, 8, 1
local MEMBER, PAIR, BATCH, GROUP, NUMBERS = 16, 46, 15, 21, 13 -- bytes
local LETTERS = {'d', 'u', 's'} -- of verdicts, by kind of key

-- Only publish takes a blob's expiry away: without one the batch is open. Only a batch that was closed
-- has outcomes beside an expiry. Of one that left no blob there is a tombstone (close.lua) as long as a
-- copy of this call may be on its way, maybe beside a blob that came with the copy.
local left = redis.call('PTTL', KEYS[1])
local open = left == -1
local outcomes = open and 0 or redis.call('STRLEN', KEYS[3])
if left == -2 and outcomes == 0 then
    return {'noblob', 0}
end
local repeated = open or outcomes > 0
if not open and left ~= -2 and outcomes == TOMBSTONE_BYTES then
    redis.call('UNLINK', KEYS[1])
end

local me, part_count = ARGV[4], tonumber(ARGV[6])
local whole = part_count == 0
local key, arg = KEYS_FIXED, ARGS_FIXED -- what comes next is behind these
local open_parts, replicas, channel
local parts, mine = {}, {} -- mine: numbers of those in the owner's journal
if not whole then
    open_parts, replicas, channel = KEYS[key + 1], KEYS[key + 2], ARGV[arg + 1]
    key, arg = key + 2, arg + 1
end
for i = 1, part_count do
    local number = ARGV[arg + 1]
    parts[i] = {number = number, member = number == '0' and ARGV[1] or ARGV[1] .. '.' .. number,
                owner = ARGV[arg + 2], journal = KEYS[key + 1]}
    key, arg = key + 1, arg + 2
end

local feeds = {}
for i = 1, tonumber(ARGV[7]) do
    feeds[i] = {stream = KEYS[key + 1], runs = ARGV[arg + 1], ids = ARGV[arg + 2],
                numbers = ARGV[arg + 3]}
    key, arg = key + 1, arg + 3
end
local feed_progress = feeds[1] and KEYS[key + 1]
key = key + (feeds[1] and 1 or 0)

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
    local version = ARGV[5] ~= '' and tonumber(redis.call('HGET', KEYS[5], 'version') or 0)
    if version and version > tonumber(ARGV[5]) then
        redis.call('UNLINK', KEYS[1])
        return {'stale', 0, version}
    end
    local most, batches = tonumber(ARGV[3]), redis.call('ZCARD', KEYS[2])
    if batches >= most then
        return {'journal_full', 0}
    end
    if whole then
        mine[1] = '0'
        redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    end
    for _, part in ipairs(parts) do -- whose is it?
        part.batches = part.owner == me and batches or redis.call('ZCARD', part.journal)
        if part.owner ~= me and
           (part.batches >= most or not redis.call('ZSCORE', replicas, part.owner)) then
            part.owner, part.journal, part.batches = me, KEYS[2], batches
        end
        if part.owner == me then
            mine[#mine + 1] = part.number
        end
    end
    for _, part in ipairs(parts) do
        redis.call('ZADD', part.journal, ARGV[2], part.member)
        if part.batches == 0 and part.owner ~= me then
            redis.call('ZADD', KEYS[4], 0, part.owner)
        end
    end
    redis.call('PERSIST', KEYS[1])
    if #parts > 1 then
        redis.call('SET', open_parts, #parts)
    end
    if batches == 0 and mine[1] then -- the owner may have been buried while it was away
        redis.call('ZADD', KEYS[4], 0, me)
    end
end

local reply = {'ok', 0, table.concat(mine, ',')}
if whole and #ARGV == arg and not feeds[1] then
    return reply -- as most do: what follows would take time to define
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%d', now) -- costs Redis half as much as the number
local args_end = #ARGV - ARGV[8]

-- Sets the bits of `count` ordinals: whole bytes at once, the rest one by one.
local function mark(progress, first, count)
    local behind = first + count
    while first < behind and first % 8 > 0 do
        redis.call('SETBIT', progress, first, 1)
        first = first + 1
    end
    local bytes = math.floor((behind - first) / 8)
    if bytes > 0 then
        redis.call('SETRANGE', progress, first / 8, string.rep('\255', bytes))
    end
    for ordinal = first + 8 * bytes, behind - 1 do
        redis.call('SETBIT', progress, ordinal, 1)
    end
end

-- ---- keys ------------------------------------------------------------------------------------------

-- The pieces of `text`, which has that form again and again, so many bytes each time.
local function split(text, form, bytes)
    local pieces = {struct.unpack(string.rep(form, #text / bytes), text)}
    pieces[#pieces] = nil -- where it ended
    return pieces
end

-- Drops keys that have expired, batch by batch until they were `most`.
local function trim(kind, most)
    while most > 0 do
        local entry = redis.call('ZRANGEBYSCORE', kind.index, '-inf', now_text, 'LIMIT', 0, 1)[1]
        if not entry then
            return
        end
        local listed = #entry == kind.named
        local members, gone = {entry}, {}
        if listed then
            members = split(redis.call('HGET', kind.lists, entry) or '', 'c16', MEMBER)
            redis.call('HDEL', kind.lists, entry)
        end
        local answers = members[1] and redis.call('HMGET', kind.fields, unpack(members)) or {}
        for i, answer in ipairs(answers) do
            local group = answer and string.sub(answer, 1, kind.named)
            if group and (group == entry or not listed and not redis.call('ZSCORE', kind.index, group)) then
                gone[#gone + 1] = members[i]
            end
        end
        if gone[1] then
            redis.call('HDEL', kind.fields, unpack(gone))
        end
        redis.call('ZREM', kind.index, entry)
        most = most - #members - 1
    end
end

-- Enters keys that expire together in the index: their members one behind the other.
local function enter_group(kind, name, expiry, members)
    if #members == MEMBER then
        redis.call('ZADD', kind.index, expiry, members)
    else
        redis.call('HSET', kind.lists, name, members)
        redis.call('ZADD', kind.index, expiry, name)
    end
end

-- Enters keys of this batch in the index: pairs of member and answer, and the members one behind the other.
local function enter(kind, pairs, members)
    if kind.expiry then
        enter_group(kind, string.sub(pairs[2], 1, BATCH), kind.expiry, members)
        return
    end
    local names, groups = {}, {}
    for i = 1, #pairs, 2 do
        local name = string.sub(pairs[i + 1], 1, GROUP)
        local group = groups[name]
        if not group then
            group = {}
            names[#names + 1], groups[name] = name, group
        end
        group[#group + 1] = pairs[i]
    end
    for _, name in ipairs(names) do
        local expiry = string.format('%d', kind.now + struct.unpack('<I6', name, BATCH + 1))
        enter_group(kind, name, expiry, table.concat(groups[name]))
    end
end

-- Takes all keys, of which none is known. False, and none is taken, when one is there twice: then there are
-- fewer new ones than it has keys.
local function take_all(kinds)
    for n, kind in ipairs(kinds) do
        if kind.members[1] and redis.call('HSET', kind.fields, unpack(kind.pairs)) < #kind.members then
            for i = 1, n do
                if kinds[i].members[1] then
                    redis.call('HDEL', kinds[i].fields, unpack(kinds[i].members))
                end
            end
            return false
        end
    end
    for _, kind in ipairs(kinds) do
        if kind.members[1] then
            enter(kind, kind.pairs, kind.list)
        end
    end
    return true
end

-- The verdicts on a batch of which some keys are known, or there twice, or too many; or on a repeated
-- call. The keys of new events are taken. false: all are new.
local function judge(idem, uid, dedup, numbers, progress)
    local all = {idem, uid, dedup} -- in the order of their verdicts

    -- Turns to the next event, which may have a key of this kind.
    local function turn(kind, has)
        local at = has and kind.at + 1
        kind.at = at or kind.at
        kind.member, kind.answer = at and kind.members[at], at and kind.pairs[2 * at]
        kind.known = at and kind.all_known[at]
    end

    -- The answer of who has the key now: an earlier event of this batch, or one that has not expired.
    local function holder(kind)
        local known = kind.known
        if kind.taken[kind.member] or not known then
            return kind.taken[kind.member]
        end
        local expiry = redis.call('ZSCORE', kind.index, string.sub(known, 1, kind.named)) or
                       redis.call('ZSCORE', kind.index, kind.member)
        return expiry and tonumber(expiry) > now and known
    end

    -- Takes the key. One that has expired and was not dropped yet has its room already.
    local function take(kind)
        kind.taken[kind.member] = kind.answer
        kind.new[#kind.new + 1] = kind.member
        kind.new_pairs[#kind.new_pairs + 1] = kind.member
        kind.new_pairs[#kind.new_pairs + 1] = kind.answer
        kind.room = kind.room - (kind.known and 0 or 1)
    end

    -- The verdict on an event, whose keys are taken if it is new.
    local function first_verdict()
        for _, kind in ipairs(all) do
            local stored = kind.member and holder(kind)
            if stored then
                return kind.letter .. stored
            end
        end
        for _, kind in ipairs(all) do
            if kind.member and kind.room <= 0 then
                return 'f'
            end
        end
        for _, kind in ipairs(all) do
            if kind.member then
                take(kind)
            end
        end
        return 0
    end

    -- Is that known of another event than the one whose key it is?
    local function others(kind)
        return kind.known and kind.known ~= kind.answer
    end

    -- The verdict of the first call, from what that has left. The bit of the refused decides as long as
    -- the batch is open (those of ordinals would not tell: others mark what they have delivered), because
    -- keys expire: an event that was refused and is called new now would be taken for delivered, and be
    -- lost; one that is delivered must not be called refused. When all is closed nothing depends on it
    -- but the answer, and keys live longer than anybody waits for that.
    local function same_verdict(refused)
        local marked = open and redis.call('GETBIT', progress, refused)
        if marked == 0 then
            return 0
        end
        local unknown = false
        for _, kind in ipairs(all) do
            if others(kind) then
                return kind.letter .. kind.known
            end
            unknown = unknown or kind.member and not kind.known
        end
        return (marked == 1 or unknown) and 'f' or 0
    end

    local verdicts, refused_any = {}, false
    for _, kind in ipairs(all) do
        kind.at, kind.taken, kind.new, kind.new_pairs = 0, {}, {}, {}
    end
    for at = 1, #numbers, NUMBERS do
        local has, first, ordinals, refused = struct.unpack('<BI4I4I4', numbers, at)
        turn(idem, has % 2 >= 1)
        turn(uid, has % 4 >= 2)
        turn(dedup, has >= 4)
        local verdict = repeated and same_verdict(refused) or not repeated and first_verdict()
        if verdict ~= 0 and not repeated then
            mark(progress, first, ordinals)
            redis.call('SETBIT', progress, refused, 1)
        end
        refused_any = refused_any or verdict ~= 0
        verdicts[#verdicts + 1] = verdict
    end
    for _, kind in ipairs(all) do
        if kind.new[1] then
            redis.call('HSET', kind.fields, unpack(kind.new_pairs))
            enter(kind, kind.new_pairs, table.concat(kind.new))
        end
    end
    return refused_any and verdicts
end

local kinds = {}
if args_end > arg then
    local numbers = ARGV[arg + 1]
    local all_new = not repeated
    for n = 1, (args_end - arg - 1) / 4 do
        local at = arg + 4 * n - 2
        local members, ttl = split(ARGV[at + 2], 'c16', MEMBER), ARGV[at + 1]
        local kind = {letter = LETTERS[n], named = ttl == '' and GROUP or BATCH, now = now,
                      index = KEYS[key + 3 * n - 1], fields = KEYS[key + 3 * n], lists = KEYS[key + 3 * n + 1],
                      expiry = ttl ~= '' and string.format('%d', now + ttl), members = members,
                      list = ARGV[at + 2], pairs = split(ARGV[at + 3], 'c16c30', PAIR), all_known = {}}
        kinds[n] = kind
        if members[1] then
            if not repeated then -- at the pace that room is used
                trim(kind, 2 * #numbers / NUMBERS + 2)
            end
            local known = redis.call('HMGET', kind.fields, unpack(members))
            for i = 1, #members do
                all_new = all_new and not known[i]
            end
            kind.all_known = known
            kind.room = ARGV[at] - redis.call('HLEN', kind.fields)
            all_new = all_new and #members <= kind.room
        end
    end
    reply[2] = now
    if not (all_new and take_all(kinds)) then -- which is rare
        local none = {members = {}}
        for i, verdict in ipairs(judge(kinds[1], kinds[2] or none, kinds[3] or none, numbers, KEYS[key + 1])
                                 or {}) do
            reply[3 + i] = verdict
        end
    end
end

-- ---- entries of feeds --------------------------------------------------------------------------------

local FEED_NUMBERS = 12 -- bytes

-- Is that id before the other one? Their parts may have more digits than a number holds here.
local function id_before(id, other)
    local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
    local other_ms, other_sequence = string.match(other, '^(%d+)-(%d+)$')
    if ms == other_ms then
        ms, other_ms = sequence, other_sequence
    end
    return #ms < #other_ms or #ms == #other_ms and ms < other_ms
end

-- Does the stream begin with this entry, and have no gaps behind it?
local function begins_whole(stream, id)
    local info, begin, gap = redis.pcall('XINFO', 'STREAM', stream), nil, nil
    for i = 1, #info, 2 do
        if info[i] == 'recorded-first-entry-id' then
            begin = info[i + 1]
        elseif info[i] == 'max-deleted-entry-id' then
            gap = info[i + 1]
        end
    end
    return begin == id and id_before(gap, begin)
end

-- The bits of events that have been refused because of a key.
local function refused_by_key(numbers)
    local bits = {}
    for i = 4, #reply do
        if reply[i] ~= 0 then
            bits[select(4, struct.unpack('<BI4I4I4', numbers, (i - 4) * NUMBERS + 1))] = true
        end
    end
    return bits
end

-- Takes entries `from` to `to` out one by one. Those that are not there are refused.
local function take_each(feed, from, to, keyed, taken)
    if not feed.each then
        feed.each = {}
        for id in string.gmatch(feed.ids, '%S+') do
            feed.each[#feed.each + 1] = id
        end
    end
    for n = from, to do
        local first, ordinals, refused = struct.unpack('<I4I4I4', feed.numbers, (n - 1) * FEED_NUMBERS + 1)
        if not keyed[refused] and redis.pcall('XDEL', feed.stream, feed.each[n]) ~= 1 then
            mark(feed_progress, first, ordinals)
            redis.call('SETBIT', feed_progress, refused, 1)
            taken[#taken + 1] = refused
        end
    end
end

-- What the first call has refused, from the bits that it has left; when the batch is closed nothing
-- depends on it.
local function taken_before(feed, keyed, taken)
    for at = 1, #feed.numbers, FEED_NUMBERS do
        local _, _, refused = struct.unpack('<I4I4I4', feed.numbers, at)
        if not keyed[refused] and redis.call('GETBIT', feed_progress, refused) == 1 then
            taken[#taken + 1] = refused
        end
    end
end

-- Events without their entries are nobody's, and so are the keys that they have taken: who adds such an
-- entry again is to be heard. What this batch called a duplicate of one of them comes once more ("f").
-- What is left of such a key in the index is as good as that of one which expired and was taken since.
local function release_keys(numbers, taken)
    local gone, free, turns = {}, {}, {}
    for _, refused in ipairs(taken) do
        gone[refused] = true
    end
    for at = 1, #numbers, NUMBERS do
        local has, _, _, refused = struct.unpack('<BI4I4I4', numbers, at)
        for n, kind in ipairs(kinds) do
            local own = math.floor(has / 2 ^ (n - 1)) % 2
            local turn = (turns[n] or 0) + own
            if own == 1 and gone[refused] then
                redis.call('HDEL', kind.fields, kind.members[turn])
                free[kind.letter .. kind.pairs[2 * turn]] = true
            end
            turns[n] = turn
        end
    end
    for i = 4, #reply do
        reply[i] = free[reply[i]] and 'f' or reply[i]
    end
end

local function take_entries()
    local keyed, taken = #reply > 3 and refused_by_key(ARGV[arg + 1]) or {}, {}
    local none_refused = next(keyed) == nil
    for _, feed in ipairs(feeds) do
        local at = 1
        for first, behind, count in string.gmatch(not repeated and feed.runs or '', '(%S+) (%S+) (%d+)') do
            local whole_row = none_refused and begins_whole(feed.stream, first)
            if not whole_row or type(redis.pcall('XTRIM', feed.stream, 'MINID', behind)) ~= 'number' then
                take_each(feed, at, at + count - 1, keyed, taken)
            end
            at = at + count
        end
        if open and redis.call('EXISTS', feed_progress) == 1 then
            taken_before(feed, keyed, taken)
        end
    end
    if taken[1] then
        if kinds[1] and not repeated then
            release_keys(ARGV[arg + 1], taken)
        end
        reply[#reply + 1] = taken
    end
end

if feeds[1] then
    take_entries()
end

-- ---- ordered deliveries ------------------------------------------------------------------------------

local AT_ONCE = 4000 -- words: unpack() has room for about 8000

local function write(command, name, words)
    for from = 1, #words, AT_ONCE do
        redis.call(command, name, unpack(words, from, math.min(from + AT_ONCE - 1, #words)))
    end
end

-- Behind all verdicts: refused events have none. Everything is gathered for each endpoint and event, and
-- then written: commands cost more than anything else here.
local function enter_ordered()
    local DELIVERY, EVENT, ENDPOINT = 6, 3, 3
    local endpoints, events, bits = {}, {}, {}
    local at, own = args_end + 2, #KEYS - ARGV[args_end + 2] - ENDPOINT * ARGV[args_end + 1]
    local progress, sequence_key, any_refused = KEYS[own - 1], KEYS[own], #reply > 3
    for n = 1, tonumber(ARGV[args_end + 1]) do
        endpoints[n] = {id = ARGV[at + n], ord = KEYS[own + 1], due = KEYS[own + 2], lane = KEYS[own + 3],
                        members = {}, heads = {}, earliest = math.huge, waits = {}}
        own = own + ENDPOINT
    end
    at = at + #endpoints
    for n = 1, tonumber(ARGV[args_end + 2]) do
        events[n] = {id = ARGV[at + 1], hash = KEYS[own + n], fields = {'e', ARGV[at + 2]},
                     refused = any_refused and redis.call('GETBIT', progress, ARGV[at + 3]) == 1}
        at = at + EVENT
    end
    local count = (#ARGV - at) / DELIVERY
    local sequence = redis.call('INCRBY', sequence_key, count) - count
    for n = 1, count do
        local event, endpoint = events[tonumber(ARGV[at + 1])], endpoints[tonumber(ARGV[at + 2])]
        if not event.refused then
            local hash, due = ARGV[at + 4], ARGV[at + 5]
            local members, fields, bit = endpoint.members, event.fields, #bits
            if endpoint.waits[hash] == nil then
                local queue = redis.call('ZRANGEBYLEX', endpoint.ord, '[' .. hash, '[' .. hash .. '\255',
                                         'LIMIT', '0', '1')
                endpoint.waits[hash] = true
                if not queue[1] then
                    local when, heads = math.max(now, tonumber(due)), endpoint.heads
                    heads[#heads + 1] = string.format('%d', when)
                    heads[#heads + 1] = event.id
                    endpoint.earliest = math.min(endpoint.earliest, when)
                end
            end
            members[#members + 1] = '0'
            members[#members + 1] = hash .. struct.pack('>I8', sequence + n) .. event.id .. due
            fields[#fields + 1] = endpoint.id
            fields[#fields + 1] = ARGV[at + 6]
            bits[bit + 1], bits[bit + 2], bits[bit + 3], bits[bit + 4] = 'SET', 'u1', ARGV[at + 3], '1'
        end
        at = at + DELIVERY
    end
    write('BITFIELD', progress, bits)
    for _, event in ipairs(events) do
        if not event.refused then
            write('HSET', event.hash, event.fields)
            redis.call('PERSIST', event.hash) -- it may have been history, if its batch was stored again
        end
    end
    for _, endpoint in ipairs(endpoints) do
        write('ZADD', endpoint.ord, endpoint.members)
        if #endpoint.heads > 0 then
            write('ZADD', endpoint.due, endpoint.heads)
            redis.call('ZADD', endpoint.lane, 'LT', string.format('%d', endpoint.earliest), endpoint.id)
        end
    end
end

if args_end < #ARGV and not repeated then
    enter_ordered()
end

-- Last, when all is written. A right to publish that is missing must not undo what the reply says.
for _, part in ipairs(not repeated and parts or {}) do
    if part.owner ~= me then
        redis.pcall('PUBLISH', channel .. part.owner, 'b' .. part.member)
    end
end
return reply
