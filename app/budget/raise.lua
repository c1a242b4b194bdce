-- Raise counters to what the ledger says. One that says more already knows of entries that are not in the ledger yet.
-- KEYS: the counters  ARGV: 1 seconds to keep them, then what each is to say at least
for i = 1, #KEYS do
  local spent = tonumber(redis.call('HGET', KEYS[i], 'spent') or '0')
  if spent < tonumber(ARGV[1 + i]) then
    redis.call('HSET', KEYS[i], 'spent', ARGV[1 + i])
  end
  redis.call('EXPIRE', KEYS[i], ARGV[1])
end
return #KEYS
