-- All or nothing.
local found, granted, all = {}, cost + more, true
for index, key in ipairs(KEYS) do
  local base = 4 + (index - 1) * 5
  local fits, left, wait, reset, take = count[ARGV[base + 1]](
    key, tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4]),
    tonumber(ARGV[base + 5]))
  found[index] = {fits, left, wait, reset, take}
  all = all and fits
  if deed == 'lease' then granted = math.min(granted, left) end
end
if deed == 'give' or deed == 'hold' then return 0 end
if deed ~= 'lease' then granted = cost end
local takes = deed == 'charge' or (deed ~= 'look' and all)
if not takes then granted = 0 end
local answer = {now, granted}
for index in ipairs(KEYS) do
  local fits, left, wait, reset, take = unpack(found[index])
  if takes then
    left, reset = take(granted)
    fits, wait = true, 0
  end
  local base = (index - 1) * 4
  answer[base + 3] = fits and 1 or 0
  answer[base + 4] = left
  answer[base + 5] = math.ceil(wait)
  answer[base + 6] = math.ceil(reset)
end
return answer
