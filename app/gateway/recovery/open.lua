-- Open a circuit for all replicas, or (with a rest of 0) give up its probe. An earlier entry of another replica stays.
-- KEYS[1] hash of circuits  ARGV[1] target  ARGV[2] rest in ms  ARGV[3] rests in a row  ARGV[4] cause  ARGV[5] by whom
-- ARGV[6] share of its attempts that were answered
-- Times are this server's clock, in ms: replicas need not agree on theirs.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local circuit = cjson.decode(known)
  if circuit['until'] > now and circuit['trips'] >= tonumber(ARGV[3]) then
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({
  ['until'] = now + tonumber(ARGV[2]), trips = tonumber(ARGV[3]), claimed = 0, cause = ARGV[4], by = ARGV[5],
  answered = tonumber(ARGV[6])
}))
return 1
