#!lua flags=allow-oom
-- lease: claim up to n due deliveries of one endpoint of mine, and say when to look at it again.
--
-- A claimed delivery stays in `due` with the end of its lease as score: whoever dies holding it lets
-- go of it by doing nothing. That score is also the fence of its settle. It is half a millisecond more
-- than the end, which tells a lease from a time at which something is due: whoever clears an endpoint
-- leaves alone what another replica has on the wire.
--
-- KEYS  1 due   2 lane   3 lanes (hash: lane -> its owner)
-- ARGV  1 endpoint id   2 n (0: only set the lane's score)   3 length of the lease in ms
--       4 "not before" in ms: the loop will not look at the endpoint earlier (0: no such wish)
--       5 number of its lane   6 my incarnation
-- Reply {now in ms, end of the lease in ms, earliest score left or -1, how many deliveries are left
--       (those in hand of others included), event id, ...}. The end of the lease is 0 when the lane is
--       not mine: then nothing was done.
-- Cost  6 commands, whatever n is.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_end, LEASED = now + ARGV[3], 0.5

if redis.call('HGET', KEYS[3], ARGV[5]) ~= ARGV[6] then
    return {now, 0, -1, 0}
end

local claimed = {}
if tonumber(ARGV[2]) > 0 then
    claimed = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now + 1, 'LIMIT', 0, ARGV[2])
    if #claimed > 0 then
        local pairs_ = {}
        for i = 1, #claimed do
            pairs_[2 * i - 1] = lease_end + LEASED
            pairs_[2 * i] = claimed[i]
        end
        redis.call('ZADD', KEYS[1], unpack(pairs_))
    end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local left = -1
if #head == 0 then
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    left = math.floor(head[2])
    redis.call('ZADD', KEYS[2], math.max(left, tonumber(ARGV[4])), ARGV[1])
end
return {now, lease_end, left, redis.call('ZCARD', KEYS[1]) - #claimed, unpack(claimed)}
