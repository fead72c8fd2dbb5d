-- What has been purged so far: the name of the count, the latest number, and the purges.
-- KEYS: the count, the purges. ARGV: a name for the count, should there be none.
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 1 then redis.call('DEL', KEYS[2]) end
local state = redis.call('HMGET', KEYS[1], 'epoch', 'number')
return {state[1], tonumber(state[2] or 0), redis.call('XRANGE', KEYS[2], '-', '+')}
