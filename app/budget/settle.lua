-- Replace a lease by the amount really spent, and write it to the ledger's stream. Safe to repeat: a lease settles once.
-- KEYS: 1 epoch  2 lease  3 leases of the shard  4 the shard's share of the global day  5-8 the scopes  9 the ledger's stream
--       then, for each subject of rate limits: its bucket, its live calls
-- ARGV: 1 spent  2 lease id  3 ledger entry  4 seconds to remember that it is settled  5 tokens held for and not used
--       6-9 limits of the scopes (-1: none)  10-13 seconds that their counters are kept  14 seconds for the day
--       15 number of subjects, then their tokens a minute (-1: no limit), then the shares of a limit, in percent and rising,
--       at which an alert fires
-- Returns 1; 0 if it was settled before; -1 where the counters are not there, so nothing can be counted yet.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return -1
end
local known = redis.call('HMGET', KEYS[2], 'amount', 'settled', 'kind')
if not (usable(known[1]) and usable(known[2])) then
  return redis.error_reply('UNUSABLE a lease holds no amount')
end
local held, settled, kind = tonumber(known[1] or '0'), tonumber(known[2] or '0'), 'settled'
local actual = tonumber(ARGV[1])
if known[2] then
  if known[3] ~= 'expired' or actual == settled then
    return 0
  end
  kind = 'corrected' -- swept at its worst case, and now its worker reports the real amount
end
local change = actual - settled
-- All that may fail is read before the first write: a script that fails is not undone, and is sent again.
local holds = {}
for i = 4, 8 do
  local counted = redis.call('HMGET', KEYS[i], 'spent', 'held')
  if not (usable(counted[1]) and usable(counted[2])) then
    return redis.error_reply('UNUSABLE a counter holds no amount')
  end
  holds[i] = math.max(0, tonumber(counted[2] or '0'))
end
redis.call('ZCARD', KEYS[3])
redis.call('XLEN', KEYS[9])
for s = 1, tonumber(ARGV[15]) do
  redis.call('HLEN', KEYS[9 + 2 * s - 1])
  redis.call('ZCARD', KEYS[9 + 2 * s])
end

for i = 4, 8 do
  local back = math.min(held, holds[i]) -- a counter that was dropped holds less: below nothing, its cap would be open by the rest
  if back ~= 0 then
    redis.call('HINCRBY', KEYS[i], 'held', -back)
  end
  if change ~= 0 then
    redis.call('HINCRBY', KEYS[i], 'spent', change)
  end
  redis.call('EXPIRE', KEYS[i], i == 4 and ARGV[14] or ARGV[5 + i])
end
if change ~= 0 then
  redis.call('XADD', KEYS[9], '*', 'kind', kind, 'lease', ARGV[2], 'amount', change, 'entry', ARGV[3])
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'settled', actual, 'kind', kind)
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[2])

local subjects = tonumber(ARGV[15])
for s = 1, subjects do
  local limit, bucket = tonumber(ARGV[15 + s]), KEYS[9 + 2 * s - 1]
  redis.call('ZREM', KEYS[9 + 2 * s], ARGV[2])
  -- Only what was taken comes back: a hold that was refused, and whose caller left, is settled too.
  local level = known[1] and limit >= 0 and redis.call('HGET', bucket, 'tokens')
  if level then
    redis.call('HSET', bucket, 'tokens', tostring(math.min(limit, tonumber(level) + tonumber(ARGV[5]))))
  end
end

if change > 0 then
  for i = 5, 8 do
    local limit = tonumber(ARGV[1 + i])
    if limit > 0 then
      local counted = redis.call('HMGET', KEYS[i], 'spent', 'alerted', 'alerted_of')
      local spent, alerted, reached = tonumber(counted[1]), tonumber(counted[2] or '0'), 0
      if tonumber(counted[3] or '-1') ~= limit then
        alerted = 0 -- the cap was changed: its shares are others
      end
      for s = 16 + subjects, #ARGV do
        if spent * 100 >= limit * tonumber(ARGV[s]) then
          reached = tonumber(ARGV[s])
        end
      end
      if reached > alerted then
        redis.call('HSET', KEYS[i], 'alerted', reached, 'alerted_of', limit)
        redis.call('XADD', KEYS[9], '*', 'kind', 'alert', 'scope', i - 4, 'share', reached, 'spent', spent,
          'limit', limit, 'entry', ARGV[3])
      end
    end
  end
end
return 1
