-- Whether money can be held in a shard now: its counters are there and open, and Valkey takes a write.
-- KEYS: 1 epoch  2 a key to write  ARGV: 1 milliseconds to keep it
-- Returns ms until the shard opens, 0 where it is open, -1 where the counters are not there.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  return -1
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return math.max(0, tonumber(string.match(epoch, ':(%d+)$')) - now)
