-- Raise counters to the ledger's sums. A higher one already counts entries that are not in the ledger yet.
-- KEYS: the counters  ARGV: 1 seconds to keep them, then the least value of each
for i = 1, #KEYS do
  local spent = tonumber(redis.call('HGET', KEYS[i], 'spent') or '0')
  if spent < tonumber(ARGV[1 + i]) then
    redis.call('HSET', KEYS[i], 'spent', ARGV[1 + i])
  end
  redis.call('EXPIRE', KEYS[i], ARGV[1])
end
return #KEYS
