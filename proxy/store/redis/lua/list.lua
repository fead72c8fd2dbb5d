-- List where something is that bears a tag, for as long as it is kept.
-- KEYS: the list. ARGV: milliseconds, most places in a list, then the place.
local clock = redis.call('TIME')
local now, time = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + time, ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[2]) - 1)
if redis.call('PTTL', KEYS[1]) < time then redis.call('PEXPIRE', KEYS[1], time) end
return 1
