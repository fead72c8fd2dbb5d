-- Say who is at something, unless somebody is already; who it is now.
-- KEYS: the claim. ARGV: who, milliseconds.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
