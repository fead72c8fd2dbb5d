local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local deed, cost, more, worker = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local count = {}

-- Milliseconds until a record says nothing any more; as an argument, which has an end.
local function lifetime(microseconds)
  return string.format('%.0f', math.min(math.ceil(microseconds / 1000) + 1, 1e15))
end

-- Each of `count` gives: whether the cost fits, what is left without it, how long to wait for it
-- (-1 for ever), how long until all of it is back, and a function that takes a cost, which gives
-- the second and the last anew. Times are in microseconds. A record of a clock that was ahead is
-- taken for one of now, so that nothing runs off that hasn't passed.
