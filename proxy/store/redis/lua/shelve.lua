-- Keep values for some time, and list them under what they belong to.
-- KEYS: the list, then where each value goes. ARGV: milliseconds, then the values.
local clock = redis.call('TIME')
local now, time = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for index = 2, #KEYS do
  redis.call('SET', KEYS[index], ARGV[index], 'PX', time)
  redis.call('ZADD', KEYS[1], now + time, KEYS[index])
end
if redis.call('PTTL', KEYS[1]) < time then redis.call('PEXPIRE', KEYS[1], time) end
return 1
