-- Settle at worst case every lease of a shard that outlived its call: its worker died.
-- KEYS: 1 epoch  2 leases of the shard  3 the ledger's stream
-- ARGV: 1 prefix of lease keys  2 seconds to remember that a lease was swept (its worker may come back and correct it)
-- The leases, and the counters they name, carry the shard's hash tag and so live in the slot of KEYS, as a cluster requires.
-- A lease that cannot be settled holds up no other: it is tried again in a minute.
-- Returns {'swept', how many leases were settled, then the ids of those whose counters no script can use}.
local answer = {'swept', 0}
if redis.call('EXISTS', KEYS[1]) == 0 then
  return answer
end
redis.call('XLEN', KEYS[3])
local now = redis.call('TIME')[1]

-- All that may fail is read before the first write: a script that fails is not undone.
-- Returns what each of a lease's counters holds, or nothing.
local function holds_of(known)
  local holds = {}
  for i = 3, 7 do
    local counted = redis.pcall('HMGET', known[i], 'spent', 'held')
    if counted.err or not (usable(counted[1]) and usable(counted[2])) then
      return nil
    end
    holds[i] = math.max(0, tonumber(counted[2] or '0'))
  end
  return holds
end

local function is_lease(known)
  for i = 1, 7 do
    if not known[i] then
      return false
    end
  end
  return usable(known[1]) and tonumber(known[1]) >= 0
end

local expired = redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 500)
for _, id in ipairs(expired) do
  local lease = ARGV[1] .. id
  local known = redis.pcall('HMGET', lease, 'amount', 'entry', '4', '5', '6', '7', '8')
  if known.err or known[1] and not is_lease(known) then
    redis.call('DEL', lease) -- of what it held nothing is known, and that stays held
    known = {}
  end
  local holds = known[1] and holds_of(known)
  if holds then
    answer[2] = answer[2] + 1
    for i = 3, 7 do
      redis.call('HINCRBY', known[i], 'held', -math.min(tonumber(known[1]), holds[i]))
      redis.call('HINCRBY', known[i], 'spent', known[1])
    end
    redis.call('XADD', KEYS[3], '*', 'kind', 'expired', 'lease', id, 'amount', known[1], 'entry', known[2])
    redis.call('DEL', lease)
    redis.call('HSET', lease, 'settled', known[1], 'kind', 'expired')
    redis.call('EXPIRE', lease, ARGV[2])
  end
  if holds or not known[1] then
    redis.call('ZREM', KEYS[2], id)
  else
    answer[#answer + 1] = id
    redis.call('ZADD', KEYS[2], now + 60, id)
  end
end
return answer
