-- Settle at worst case every lease that outlived its call.
-- KEYS[1] index of leases  ARGV[1] prefix of lease keys
-- The leases and scopes touched are named inside the index and the leases; all carry the tenant's hash tag and so live in
-- the slot of KEYS[1], which is what a cluster requires.
-- Returns how many leases were settled.
local now = redis.call('TIME')[1]
local expired = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
for _, id in ipairs(expired) do
  local lease = redis.call('HGETALL', ARGV[1] .. id)
  local amount, scopes = 0, {}
  for i = 1, #lease, 2 do
    if lease[i] == 'amount' then
      amount = tonumber(lease[i + 1])
    else
      scopes[#scopes + 1] = lease[i + 1]
    end
  end
  for _, scope in ipairs(scopes) do
    redis.call('HINCRBY', scope, 'held', -amount)
    redis.call('HINCRBY', scope, 'spent', amount)
  end
  redis.call('DEL', ARGV[1] .. id)
  redis.call('ZREM', KEYS[1], id)
end
return #expired
