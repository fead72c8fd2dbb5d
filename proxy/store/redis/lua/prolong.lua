-- Keep for longer what is all there, or tell that it isn't.
-- KEYS: the list, then the values. ARGV: milliseconds.
local clock = redis.call('TIME')
local now, time = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[1])
for index = 2, #KEYS do
  if redis.call('PEXPIRE', KEYS[index], time) == 0 then return 0 end
  redis.call('ZADD', KEYS[1], now + time, KEYS[index])
end
if redis.call('PTTL', KEYS[1]) < time then redis.call('PEXPIRE', KEYS[1], time) end
return 1
