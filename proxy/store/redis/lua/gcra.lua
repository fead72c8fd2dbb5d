-- The generic cell rate algorithm. The record: when the key was last counted, in microseconds,
-- and the microseconds that its allowance then needed to be full.
count.gcra = function(key, limit, period, burst, at)
  local interval = period / limit
  local room = burst * interval
  local slack = math.min(1, interval / 1000)
  local seen, debt = now, 0
  local known = redis.call('GET', key)
  if known then
    local first, second = string.match(known, '^(%S+) (%S+)$')
    seen, debt = tonumber(first), tonumber(second)
  end
  local moment = now
  if seen > now and seen - now < 1000000 then moment = seen end
  debt = math.max(0, debt - math.max(0, moment - seen))
  local function keep(value)
    if value <= 0 then redis.call('DEL', key) else
      redis.call('SET', key, string.format('%.0f %.17g', moment, value), 'PX', lifetime(value))
    end
  end
  if deed == 'give' then
    keep(debt - math.max(0, cost * interval - (moment - at)))
    return
  end
  local left = math.max(0, math.floor((room - debt + slack) / interval))
  local early = debt + cost * interval - room
  local wait = 0
  if cost > burst then wait = -1 elseif early > slack then wait = early end
  return early <= slack, left, wait, debt, function(taken)
    keep(debt + taken * interval)
    return math.max(0, math.floor((room - debt - taken * interval + slack) / interval)),
      debt + taken * interval
  end
end
