#!lua flags=no-writes
-- page: the members of a sorted set behind a place in it.
--
-- The place is a member that was seen, and its score; it may have left the set since. So a walk goes
-- on where it was, whatever is taken out and put in meanwhile, and a page costs the same at the end
-- of a million as at the start, which an offset would not.
--
-- KEYS  1 the set
-- ARGV  1 lowest score, for the first page   2 score and 3 name of the last member seen ("" = none)
--       4 how many
-- Reply {member, score, member, score, ...}
-- Cost  2-3 commands; when the member has left, one more for each hundred with its score before it.

local TIED = 100

-- In the order of bytes, which `>` is not in every locale.
local function behind(a, b)
    for i = 1, math.min(#a, #b) do
        if a:byte(i) ~= b:byte(i) then
            return a:byte(i) > b:byte(i)
        end
    end
    return #a > #b
end

local first
if ARGV[3] == '' then
    first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1])
elseif redis.call('ZSCORE', KEYS[1], ARGV[3]) == ARGV[2] then
    first = redis.call('ZRANK', KEYS[1], ARGV[3]) + 1
else
    first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
    local seen
    repeat
        local tied = redis.call('ZRANGE', KEYS[1], first, first + TIED - 1, 'WITHSCORES')
        seen = 0
        while tied[2 * seen + 2] == ARGV[2] and not behind(tied[2 * seen + 1], ARGV[3]) do
            seen = seen + 1
        end
        first = first + seen
    until seen < TIED
end
return redis.call('ZRANGE', KEYS[1], first, first + ARGV[4] - 1, 'WITHSCORES')
