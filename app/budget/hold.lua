-- Hold an amount under every scope at once, or under none.
-- KEYS[1] lease  KEYS[2] index of leases  KEYS[3..] one hash {spent, held} per scope
-- ARGV[1] amount  ARGV[2] lease id  ARGV[3] lease seconds  ARGV[4] counter seconds  ARGV[5..] one limit per scope
-- Returns {0} when held, or {n, spent, held}: the first scope (from 1) that has no room.
local amount = tonumber(ARGV[1])
for i = 3, #KEYS do
  local spent = tonumber(redis.call('HGET', KEYS[i], 'spent') or '0')
  local held = tonumber(redis.call('HGET', KEYS[i], 'held') or '0')
  if spent + held + amount > tonumber(ARGV[i + 2]) then
    return {i - 2, spent, held}
  end
end
for i = 3, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'held', amount)
  redis.call('EXPIRE', KEYS[i], ARGV[4])
  redis.call('HSET', KEYS[1], 'scope' .. (i - 2), KEYS[i])
end
-- The same lease may be held for more than once: a further paid attempt adds to it.
redis.call('HINCRBY', KEYS[1], 'amount', amount)
redis.call('EXPIRE', KEYS[1], ARGV[4])
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[2])
return {0}
