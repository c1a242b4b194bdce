-- Give a shard more of the global day's cap. Every shard's grants together never pass it.
-- KEYS: 1 the global day: {granted, one field per shard}
-- ARGV: 1 shard  2 granted to it as it knows  3 amount it lacks  4 amount it wants, or a 256th of the room if that is more  5 cap  6 seconds to keep
--       7.. each shard's own record of its grants, in order of shards: for a day that is not there (new, or lost)
-- Returns {1, granted to the shard}, {0, granted in all}, or {-1}: call again with every shard's grants.
if redis.call('EXISTS', KEYS[1]) == 0 then
  if #ARGV < 7 then
    return {-1}
  end
  local all = 0
  for i = 7, #ARGV do
    redis.call('HSET', KEYS[1], tostring(i - 7), ARGV[i])
    all = all + tonumber(ARGV[i])
  end
  redis.call('HSET', KEYS[1], 'granted', all)
end
redis.call('EXPIRE', KEYS[1], ARGV[6])
local known, lacks = tonumber(ARGV[2]), tonumber(ARGV[3])
local mine = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if mine < known then
  redis.call('HINCRBY', KEYS[1], 'granted', known - mine)
  redis.call('HSET', KEYS[1], ARGV[1], known)
  mine = known
end
if mine - known >= lacks then
  return {1, mine}
end
local all = tonumber(redis.call('HGET', KEYS[1], 'granted'))
local room = tonumber(ARGV[5]) - all
if mine - known + room < lacks then
  return {0, all}
end
local more = math.min(math.max(tonumber(ARGV[4]), math.floor(room / 256)), room)
redis.call('HINCRBY', KEYS[1], 'granted', more)
return {1, redis.call('HINCRBY', KEYS[1], ARGV[1], more)}
