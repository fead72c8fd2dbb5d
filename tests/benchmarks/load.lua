-- What wrk sends, and what it counted as one JSON line, since its own text rounds.
--
-- BENCH_REQUEST: the request's bytes. Where BENCH_SEQUENCE stands in it, each request carries
-- its number in sixteen digits, counted from BENCH_FIRST.
local bytes = os.getenv("BENCH_REQUEST")
local sequence = os.getenv("BENCH_SEQUENCE")

if bytes:find(sequence, 1, true) then
   local number = tonumber(os.getenv("BENCH_FIRST"))
   local parts = {}
   for part in (bytes .. sequence):gmatch("(.-)" .. sequence) do
      parts[#parts + 1] = part
   end

   function request()
      number = number + 1
      return table.concat(parts, string.format("%016d", number))
   end
else
   -- wrk makes it once for all.
   function init()
      wrk.format = function() return bytes end
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nCOUNTED {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, ' ..
      '"refused": %d, "failed": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
