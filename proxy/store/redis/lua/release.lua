-- Give up a claim, if it is still one's own.
-- KEYS: the claim. ARGV: who.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
