-- Replace a lease by what was really spent. Safe to repeat: a lease settles once.
-- KEYS[1] lease  KEYS[2] index of leases  KEYS[3..] the scopes of the lease
-- ARGV[1] actual cost  ARGV[2] lease id
-- Returns the amount that had been held, or -1 if the lease was settled before.
local held = tonumber(redis.call('HGET', KEYS[1], 'amount'))
if not held then
  return -1
end
local actual = tonumber(ARGV[1])
for i = 3, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'held', -held)
  redis.call('HINCRBY', KEYS[i], 'spent', actual)
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return held
