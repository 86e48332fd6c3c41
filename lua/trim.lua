#!lua flags=allow-oom
-- trim: drop the oldest closed batches.
--
-- KEYS  1 closed   2 bytes of the closed   then for each batch: its blob, its outcomes
-- ARGV  the members of `closed` in the same order ("<batch id>:<bytes>")
-- Reply {bytes of all closed batches}
-- Cost  2 commands a batch.

local freed = 0
for i = 1, #ARGV do
    if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
        redis.call('UNLINK', KEYS[1 + 2 * i], KEYS[2 + 2 * i])
        freed = freed + string.match(ARGV[i], ':(%d+)$')
    end
end
return {redis.call('DECRBY', KEYS[2], freed)}
