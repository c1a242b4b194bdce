-- Settle at worst case every lease of a shard that outlived its call: its worker died.
-- KEYS: 1 epoch  2 leases of the shard  3 the ledger's stream
-- ARGV: 1 prefix of lease keys  2 seconds to remember that a lease was swept (its worker may come back and correct it)
-- The leases, and the counters they name, carry the shard's hash tag and so live in the slot of KEYS, as a cluster requires.
-- Returns how many leases were settled.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local expired = redis.call('ZRANGE', KEYS[2], '-inf', redis.call('TIME')[1], 'BYSCORE', 'LIMIT', 0, 500)
for _, id in ipairs(expired) do
  local lease = ARGV[1] .. id
  local known = redis.call('HMGET', lease, 'amount', 'entry', '4', '5', '6', '7', '8')
  if known[1] then
    for i = 3, 7 do
      redis.call('HINCRBY', known[i], 'held', -tonumber(known[1]))
      redis.call('HINCRBY', known[i], 'spent', known[1])
    end
    redis.call('XADD', KEYS[3], '*', 'kind', 'expired', 'lease', id, 'amount', known[1], 'entry', known[2])
    redis.call('DEL', lease)
    redis.call('HSET', lease, 'settled', known[1], 'kind', 'expired')
    redis.call('EXPIRE', lease, ARGV[2])
  end
  redis.call('ZREM', KEYS[2], id)
end
return #expired
