#!lua flags=allow-oom
-- lease: claim due deliveries of endpoints of mine, and say when to look at them again.
--
-- A claimed delivery stays in `due` with the end of its lease as score: whoever dies holding it lets
-- go of it by doing nothing. That score is also the fence of its settle. It is half a millisecond more
-- than the end, which tells a lease from a time at which something is due: whoever clears an endpoint
-- leaves alone what another replica has on the wire.
--
-- KEYS  1 lanes (hash: lane -> its owner)   then for each endpoint: due, lane
-- ARGV  1 my incarnation   2 length of the lease in ms   then for each endpoint:
--         its id   number of its lane   how many (0: only set the lane's score)
--         "not before" in ms: the loop will not look at the endpoint earlier (0: no such wish)
-- Reply {now in ms, end of the lease in ms, then for each endpoint: how many are claimed, earliest
--       score left or -1, how many deliveries are left (those in hand of others included), event id,
--       ...}. -1 are claimed when the lane is not mine: then nothing was done.
-- Cost  2 commands, and 4-5 for each endpoint, however many it is asked for.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_end = now + ARGV[2]
-- Made of numbers once: that costs more here than most commands do.
local lease_score, due_before = string.format('%d.5', lease_end), string.format('(%d', now + 1)
local FIRST, ARGS = 2, 4

local numbers = {}
for at = FIRST + 2, #ARGV, ARGS do
    numbers[#numbers + 1] = ARGV[at]
end
local owners = redis.call('HMGET', KEYS[1], unpack(numbers))
local reply = {now, lease_end}

local entries = {}
local function claim(due, count)
    local claimed = redis.call('ZRANGEBYSCORE', due, '-inf', due_before, 'LIMIT', '0', count)
    for n, event in ipairs(claimed) do
        entries[2 * n - 1] = lease_score
        entries[2 * n] = event
    end
    if #claimed > 0 then
        redis.call('ZADD', due, unpack(entries, 1, 2 * #claimed))
    end
    return claimed
end

local function lease(due, lane, endpoint, count, not_before)
    local claimed = count ~= '0' and claim(due, count) or {}
    local head, left = redis.call('ZRANGE', due, '0', '0', 'WITHSCORES'), -1
    if #head == 0 then
        redis.call('ZREM', lane, endpoint)
    else
        left = math.floor(head[2])
        redis.call('ZADD', lane, string.format('%d', math.max(left, not_before)), endpoint)
    end
    reply[#reply + 1] = #claimed
    reply[#reply + 1] = left
    reply[#reply + 1] = redis.call('ZCARD', due) - #claimed
    for _, event in ipairs(claimed) do
        reply[#reply + 1] = event
    end
end

for n = 1, #numbers do
    local at = FIRST + ARGS * (n - 1)
    if owners[n] == ARGV[1] then
        lease(KEYS[2 * n], KEYS[2 * n + 1], ARGV[at + 1], ARGV[at + 3],
              tonumber(ARGV[at + 4]))
    else
        for _, word in ipairs({-1, -1, 0}) do
            reply[#reply + 1] = word
        end
    end
end
return reply
