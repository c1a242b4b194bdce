-- Claim the one probe of a half-open circuit.
-- KEYS[1] hash of circuits  ARGV[1] target  ARGV[2] the longest the probe may take, in ms
-- Returns 1 if the caller may probe: the claim is its, or the circuit is no longer held open.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then
  return 1
end
local circuit = cjson.decode(known)
if circuit['until'] > now or circuit['claimed'] > now then
  return 0
end
circuit['claimed'] = now + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(circuit))
return 1
