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
local lease_end, LEASED = now + ARGV[2], 0.5
local FIRST, ARGS = 2, 4

local numbers = {}
for at = FIRST + 2, #ARGV, ARGS do
    numbers[#numbers + 1] = ARGV[at]
end
local owners = redis.call('HMGET', KEYS[1], unpack(numbers))
local reply = {now, lease_end}

local function claim(due, count)
    local claimed = redis.call('ZRANGEBYSCORE', due, '-inf', '(' .. now + 1, 'LIMIT', 0, count)
    if #claimed > 0 then
        local pairs_ = {}
        for n, event in ipairs(claimed) do
            pairs_[2 * n - 1] = lease_end + LEASED
            pairs_[2 * n] = event
        end
        redis.call('ZADD', due, unpack(pairs_))
    end
    return claimed
end

local function lease(due, lane, endpoint, count, not_before)
    local claimed = count > 0 and claim(due, count) or {}
    local head, left = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES'), -1
    if #head == 0 then
        redis.call('ZREM', lane, endpoint)
    else
        left = math.floor(head[2])
        redis.call('ZADD', lane, math.max(left, not_before), endpoint)
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
        lease(KEYS[2 * n], KEYS[2 * n + 1], ARGV[at + 1], tonumber(ARGV[at + 3]),
              tonumber(ARGV[at + 4]))
    else
        for _, word in ipairs({-1, -1, 0}) do
            reply[#reply + 1] = word
        end
    end
end
return reply
