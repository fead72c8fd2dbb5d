-- So many in each window of the clock. The record: the number of the window, and the count in it.
count.fixed_window = function(key, limit, period, burst, at)
  local window = math.floor(now / period)
  local used = 0
  local known = redis.call('GET', key)
  if known then
    local first, second = string.match(known, '^(%S+) (%S+)$')
    first = tonumber(first)
    if first == window or first == window + 1 then window, used = first, tonumber(second) end
  end
  local rest = (window + 1) * period - now
  local function keep(value)
    redis.call('SET', key, string.format('%.0f %.0f', window, value), 'PX', lifetime(rest))
  end
  if deed == 'give' then
    if known and math.floor(at / period) == window then keep(math.max(0, used - cost)) end
    return
  end
  local left = math.max(0, limit - used)
  local fits = cost <= limit - used
  local wait = 0
  if cost > limit then wait = -1 elseif not fits then wait = rest end
  return fits, left, wait, used > 0 and rest or 0, function(taken)
    keep(used + taken)
    return math.max(0, limit - used - taken), rest
  end
end
