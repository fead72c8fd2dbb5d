-- Let go of all that a list names, which is all in its slot; how much that was.
-- KEYS: the list.
local count = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  count = count + redis.call('UNLINK', key)
end
redis.call('DEL', KEYS[1])
return count
