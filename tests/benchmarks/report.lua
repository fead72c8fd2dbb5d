-- Prints what wrk counted as one JSON line; wrk's own text rounds.
done = function(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nCOUNTED {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
