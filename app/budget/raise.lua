-- Raise counters to the ledger's sums. A higher one already counts entries that are not in the ledger yet.
-- KEYS: the counters  ARGV: 1 seconds to keep them, then the least value of each
for i = 1, #KEYS do
  local found = redis.pcall('HGET', KEYS[i], 'spent')
  local spent = type(found) ~= 'table' and tonumber(found or '0')
  if spent and spent < tonumber(ARGV[1 + i]) then -- one that no script can use begins anew with what leases hold: `mend.lua`
    redis.call('HSET', KEYS[i], 'spent', ARGV[1 + i])
  end
  redis.call('EXPIRE', KEYS[i], ARGV[1])
end
return #KEYS
