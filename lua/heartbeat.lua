#!lua flags=allow-oom
-- heartbeat: say that I live, bury who does not, and take my share of the lanes.
--
-- KEYS  1 replicas (zset, score = end of the lease)   2 journals (zset of every incarnation that has
--       a journal)   3 configuration (hash)   4 lanes (hash: lane -> its owner; none: it is free)
--       5 membership (hash, below)   6 what is told of each replica (hash: incarnation -> JSON)
--       7 handover (hash: lane -> what its last owner left)   8 my journal
-- ARGV  1 my incarnation   2 length of the lease in ms
--       3 incarnations known to be dead (their data directory's lock is mine): "" or "others" = all
--         but me
--       4 version of the map that I have (0: none)   5 number of lanes   6 what is told of me: JSON;
--         with "draining":true I take no lanes and give up mine   7 the channel that all hear
-- Reply flat: status, now in ms, then unless the status is an error: configuration version, batches in
--       my journal, version of the map, how many of my lanes I am to release, replicas, the number of
--       dead incarnations that left a journal and their names; and if I have another version of the
--       map, or joined (a Redis that lost its data counts anew): the number of owners, their names, and
--       a byte for each lane: the number of its owner among these, 0: it is free.
--       Status "renewed"; "joined" when I had no lease: new, or buried (then all that I had has been
--       free, and may have been another's), and again until I have a map of that time; errors: "lanes"
--       (those who are here count another number of lanes, which is told in place of the version) and
--       "full" (of replicas).
-- Cost  about 14 commands; 3 more when I join, take or bury.
-- Guarantee: a lane has one owner, who is in `replicas`. It changes hands by its owner's lanes_release
--       or leave, or by its owner's death. Every change of members, of who drains and of lanes has a
--       version of its own, and is told to all. A repeated call changes no more than the first one.
--
-- Membership: "version" of the map, greater than the last one and no less than the time in ms: a
-- master that has taken another's place, without its last writes, does not give another map a version
-- that somebody knows already. "beat" the last heartbeat of anybody; "pause" no burial before this time;
-- "lanes" their number; "taken:" and an incarnation: the version at which it last took a lane;
-- "joined:" and an incarnation: that at which it joined.
--
-- Redis may have been away, or its clock have jumped: then the leases have ended and nobody is dead.
-- So when the last heartbeat of anybody is older than half a lease, or later than now, burial pauses
-- for a lease: time enough for those who live to say so.

local REPLICAS_MAX = 255 -- a byte of the map names an owner
local DEAD_MOST = 100 -- named in one reply
local DRAINING = '"draining":true'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, lease, lanes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])

local is = redis.call('HMGET', KEYS[5], 'lanes', 'beat', 'pause', 'version', 'joined:' .. me)
local beat, pause, version = tonumber(is[2]), tonumber(is[3] or 0), tonumber(is[4] or 0)
if is[1] and tonumber(is[1]) ~= lanes then
    return {'lanes', now, tonumber(is[1])}
end
local joined = not redis.call('ZSCORE', KEYS[1], me)
if joined and ARGV[3] ~= 'others' and redis.call('ZCARD', KEYS[1]) >= REPLICAS_MAX then
    return {'full', now}
end

if beat and now < beat then -- leases that end by the old clock would never end
    for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        redis.call('ZADD', KEYS[1], 'LT', now + lease, name)
    end
end
if beat and (now < beat or now - beat > lease / 2) then
    pause = now + lease
end
redis.call('ZADD', KEYS[1], now + lease, me)
redis.call('ZADD', KEYS[2], 0, me)
redis.call('HSET', KEYS[5], 'lanes', lanes, 'beat', now, 'pause', pause)

-- The dead.
local dead = {}
if ARGV[3] == 'others' then
    dead = redis.call('ZRANGE', KEYS[1], 0, -1)
elseif now >= pause then
    dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
end
local changed = joined
for _, name in ipairs(dead) do
    if name ~= me then
        redis.call('ZREM', KEYS[1], name)
        redis.call('HDEL', KEYS[6], name)
        redis.call('HDEL', KEYS[5], 'taken:' .. name, 'joined:' .. name)
        changed = true
    end
end

-- The living, and those of them who share the lanes.
local told = redis.call('HGET', KEYS[6], me)
local draining = string.find(ARGV[6], DRAINING, 1, true) ~= nil
if told ~= ARGV[6] then
    redis.call('HSET', KEYS[6], me, ARGV[6])
    changed = changed or (string.find(told or '', DRAINING, 1, true) ~= nil) ~= draining
end
local members, alive, sharing = redis.call('ZRANGE', KEYS[1], 0, -1), {}, 0
local infos = redis.call('HMGET', KEYS[6], unpack(members))
for i, name in ipairs(members) do
    alive[name] = true
    if not string.find(infos[i] or '', DRAINING, 1, true) then
        sharing = sharing + 1
    end
end

-- The lanes. Those of the dead are free.
local map, owner_of, freed, mine = redis.call('HGETALL', KEYS[4]), {}, {}, 0
for i = 1, #map, 2 do
    if alive[map[i + 1]] then
        owner_of[tonumber(map[i])] = map[i + 1]
        mine = mine + (map[i + 1] == me and 1 or 0)
    else
        freed[#freed + 1] = map[i]
    end
end
if #freed > 0 then
    redis.call('HDEL', KEYS[4], unpack(freed))
    redis.call('HDEL', KEYS[7], unpack(freed))
    changed = true
end
local share = sharing > 0 and math.ceil(lanes / sharing) or lanes
if draining then
    share = sharing > 0 and 0 or mine
end
local taken = {}
for lane = 0, lanes - 1 do
    if mine >= share then
        break
    end
    if not owner_of[lane] then
        owner_of[lane] = me
        mine = mine + 1
        taken[#taken + 1] = lane
        taken[#taken + 1] = me
    end
end
if #taken > 0 then
    redis.call('HSET', KEYS[4], unpack(taken))
    changed = true
end
if changed then
    version = math.max(version + 1, now)
    redis.call('HSET', KEYS[5], 'version', version)
    redis.pcall('PUBLISH', ARGV[7], 'l' .. version)
end
if #taken > 0 then
    redis.call('HSET', KEYS[5], 'taken:' .. me, version)
end
if joined then
    redis.call('HSET', KEYS[5], 'joined:' .. me, version)
elseif tonumber(is[5] or 0) > tonumber(ARGV[4]) then
    joined = true -- and the reply that said so was lost
end

local reply = {joined and 'joined' or 'renewed', now,
               tonumber(redis.call('HGET', KEYS[3], 'version') or 0), redis.call('ZCARD', KEYS[8]),
               version, math.max(mine - share, 0), #members, 0}
local DEAD = #reply -- where their number is
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if not alive[name] and reply[DEAD] < DEAD_MOST then
        reply[DEAD] = reply[DEAD] + 1
        reply[#reply + 1] = name
    end
end
if joined or tonumber(ARGV[4]) ~= version then
    local number_of, bytes = {}, {}
    reply[#reply + 1] = #members
    for i, name in ipairs(members) do
        number_of[name] = i
        reply[#reply + 1] = name
    end
    for lane = 0, lanes - 1 do
        bytes[lane + 1] = string.char(owner_of[lane] and number_of[owner_of[lane]] or 0)
    end
    reply[#reply + 1] = table.concat(bytes)
end
return reply
