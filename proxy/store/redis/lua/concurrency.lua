-- So many at one time. The record: for each worker how many it holds, and until when that counts.
count.concurrency = function(key, limit, period, burst, at)
  local held, own = 0, 0
  local fields = redis.call('HGETALL', key)
  for index = 1, #fields, 2 do
    local first, second = string.match(fields[index + 1], '^(%S+) (%S+)$')
    if tonumber(second) <= now then redis.call('HDEL', key, fields[index]) else
      held = held + tonumber(first)
      if fields[index] == worker then own = tonumber(first) end
    end
  end
  local function keep(value)
    if value <= 0 then redis.call('HDEL', key, worker) else
      redis.call('HSET', key, worker, string.format('%.0f %.0f', value, now + held_seconds * 1000000))
      redis.call('EXPIRE', key, held_seconds)
    end
  end
  if deed == 'give' then keep(own - 1) return end
  if deed == 'hold' then keep(cost) return end
  return held < limit, math.max(0, limit - held), held < limit and 0 or 1000000, 0, function()
    keep(own + 1)
    return math.max(0, limit - held - 1), 0
  end
end
