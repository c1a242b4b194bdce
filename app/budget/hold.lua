-- Hold an amount under every scope at once, or under none.
-- KEYS: 1 epoch  2 lease  3 leases of the shard  4 the shard's share of the global day  5-8 one hash {spent, held} per scope
--       then, for each subject of rate limits (tenant, API key): its bucket, its live calls
-- ARGV: 1 amount  2 lease id  3 lease seconds  4 '1': held before, count it without regard to caps  5 amount granted to the shard
--       6 ledger entry  7-10 limits of the scopes (-1: none)  11-14 seconds that their counters are kept  15 seconds for the day
--       16 tokens  17 number of this take, rising in a lease; then for each subject: requests a minute, tokens a minute, calls at
--       once (-1: none)
-- A take that comes twice, because its answer was lost, is counted once.
-- Returns {'ok', then per subject: requests left, ms until all are back, tokens left, ms}, {'unknown'}: the counters are not
-- there, {'closed', ms}, {'settled'}, {'full', n, spent, held}: scope n has no room, {'grant', granted, spent, held}, or
-- {'rate', subject, what, limit, ms}; ms -1: waiting does not help.
local SUBJECT = 8

local epoch = redis.call('GET', KEYS[1])
if not epoch then
  return {'unknown'}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local forced = ARGV[4] == '1'
local opens = tonumber(string.match(epoch, ':(%d+)$'))
if opens > now and not forced then
  return {'closed', opens - now}
end
local known = redis.call('HMGET', KEYS[2], 'settled', 'amount', 'takes')
if known[1] then
  return {'settled'}
end
if forced and known[2] or not forced and tonumber(known[3] or '0') >= tonumber(ARGV[17]) then
  return {'ok'}
end

-- All that may fail is read before the first write: a script that fails is not undone.
local amount = tonumber(ARGV[1])
redis.call('ZCARD', KEYS[3])
if not usable(known[2]) then
  return redis.error_reply('UNUSABLE a lease holds no amount')
end
for i = 0, 4 do
  local counted = redis.call('HMGET', KEYS[4 + i], 'spent', 'held')
  if not (usable(counted[1]) and usable(counted[2])) then
    return redis.error_reply('UNUSABLE a counter holds no amount')
  end
  local limit = i == 0 and -1 or tonumber(ARGV[6 + i])
  if limit >= 0 and not forced then
    local spent, held = tonumber(counted[1] or '0'), tonumber(counted[2] or '0')
    if spent + held + amount > limit then
      return {'full', i, spent, held}
    end
  end
end
local share = redis.call('HMGET', KEYS[4], 'spent', 'held', 'granted')
local spent, held, granted = tonumber(share[1] or '0'), tonumber(share[2] or '0'), tonumber(share[3] or '0')
local newest = tonumber(ARGV[5])
if newest > granted then
  granted = newest
  redis.call('HSET', KEYS[4], 'granted', granted)
  redis.call('EXPIRE', KEYS[4], ARGV[15])
end
if spent + held + amount > granted and not forced then
  return {'grant', granted, spent, held}
end

-- Token buckets, full at the start: the limit flows back in a minute.
local answer = {'ok'}
local writes = {}
local tokens = tonumber(ARGV[16])
local subjects = forced and 0 or (#KEYS - SUBJECT) / 2
for s = 1, subjects do
  local bucket, live = KEYS[SUBJECT + 2 * s - 1], KEYS[SUBJECT + 2 * s]
  local at = 17 + 3 * (s - 1)
  local rpm, tpm, most = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  if most >= 0 then
    redis.call('ZREMRANGEBYSCORE', live, '-inf', now / 1000)
    if redis.call('ZCARD', live) >= most then
      return {'rate', s, 'concurrency', most, 1000}
    end
    writes[#writes + 1] = {'ZADD', live, now / 1000 + tonumber(ARGV[3]), ARGV[2]}
    writes[#writes + 1] = {'EXPIRE', live, math.max(60, tonumber(ARGV[3]))}
  end
  local level = redis.call('HMGET', bucket, 'requests', 'tokens', 'at')
  local minutes = (now - tonumber(level[3] or '0')) / 60000
  for kind, limit in ipairs({rpm, tpm}) do
    local left, back = -1, 0
    if limit >= 0 then
      local need = kind == 1 and 1 or tokens
      left = math.min(limit, tonumber(level[kind] or limit) + limit * minutes)
      if left < need then
        local name = kind == 1 and 'requests' or 'tokens'
        return {'rate', s, name, limit, need > limit and -1 or math.ceil((need - left) / limit * 60000)}
      end
      left = left - need
      back = math.ceil((limit - left) / limit * 60000)
      writes[#writes + 1] = {'HSET', bucket, kind == 1 and 'requests' or 'tokens', tostring(left), 'at', now}
    end
    answer[#answer + 1] = math.floor(left)
    answer[#answer + 1] = back
  end
  writes[#writes + 1] = {'EXPIRE', bucket, 120}
end
for _, write in ipairs(writes) do
  redis.call(unpack(write))
end

for i = 4, SUBJECT do
  redis.call('HINCRBY', KEYS[i], 'held', amount)
  redis.call('EXPIRE', KEYS[i], i == 4 and ARGV[15] or ARGV[6 + i])
end
-- The same lease may be held for more than once: a further paid attempt adds to it.
redis.call('HINCRBY', KEYS[2], 'amount', amount)
redis.call('HSET', KEYS[2], 'takes', ARGV[17], 'entry', ARGV[6], '4', KEYS[4], '5', KEYS[5], '6', KEYS[6], '7', KEYS[7], '8', KEYS[8])
redis.call('EXPIRE', KEYS[2], ARGV[11])
redis.call('ZADD', KEYS[3], now / 1000 + tonumber(ARGV[3]), ARGV[2])
return answer
