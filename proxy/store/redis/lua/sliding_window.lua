-- So many in any stretch of the period, counted in parts. The record: the number of the newest
-- part, then a ring of counts.
count.sliding_window = function(key, limit, period, burst, at)
  local part = period / parts
  local newest = math.floor(now / part)
  local counts, total = {}, 0
  local known = redis.call('GET', key)
  if known then
    local numbers = {}
    for number in string.gmatch(known, '%S+') do numbers[#numbers + 1] = tonumber(number) end
    local last = numbers[1]
    if last > newest and last - newest <= parts then newest = last end
    if last <= newest then
      for index = newest - parts, last do
        local value = numbers[2 + index % (parts + 1)]
        counts[index] = value
        total = total + value
      end
    end
  end
  local function freed(needed)
    for index = newest - parts, newest do
      needed = needed - (counts[index] or 0)
      if needed <= 0 then return (index + parts + 1) * part - now end
    end
    return -1
  end
  local function keep()
    local numbers = {string.format('%.0f', newest)}
    for index = newest - parts, newest do
      numbers[2 + index % (parts + 1)] = string.format('%.0f', counts[index] or 0)
    end
    redis.call('SET', key, table.concat(numbers, ' '), 'PX',
      lifetime((newest + parts + 1) * part - now))
  end
  if deed == 'give' then
    local index = math.floor(at / part)
    if counts[index] then
      counts[index] = math.max(0, counts[index] - cost)
      keep()
    end
    return
  end
  local fits = cost <= limit - total
  local wait = 0
  if cost > limit then wait = -1 elseif not fits then wait = freed(cost - (limit - total)) end
  return fits, math.max(0, limit - total), wait, total > 0 and freed(total) or 0, function(taken)
    counts[newest] = (counts[newest] or 0) + taken
    keep()
    return math.max(0, limit - total - taken), (newest + parts + 1) * part - now
  end
end
