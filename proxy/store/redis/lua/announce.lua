-- Number a purge and write it down for all instances, unless it was already.
-- KEYS: the count, the purges, a note that this one was written down. ARGV: a name for the
-- count, should it begin anew; most purges to be kept; kind, text, softness and name of this one.
if not redis.call('SET', KEYS[3], 1, 'NX', 'PX', 60000) then return 0 end
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 1 then redis.call('DEL', KEYS[2]) end
local epoch, number = redis.call('HGET', KEYS[1], 'epoch'), redis.call('HINCRBY', KEYS[1], 'number', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*',
  'epoch', epoch, 'number', number, 'kind', ARGV[3], 'text', ARGV[4], 'soft', ARGV[5],
  'name', ARGV[6])
return 1
