-- Whether money can be held in a shard now: its counters are there and open, and Valkey takes each write that a hold and a settlement
-- make. A user may lack the right to one of them alone.
-- KEYS: 1 epoch  2 a key to write  ARGV: 1 milliseconds to keep it
-- Returns ms until the shard opens, 0 where it is open, -1 where the counters are not there.
for _, write in ipairs({
  {'SET', KEYS[2], '1', 'PX', ARGV[1]}, {'DEL', KEYS[2]},
  {'HSET', KEYS[2], 'held', 0}, {'HINCRBY', KEYS[2], 'held', 0}, {'HMGET', KEYS[2], 'held'}, {'HGET', KEYS[2], 'held'},
  {'EXPIRE', KEYS[2], 5}, {'EXISTS', KEYS[2]}, {'HLEN', KEYS[2]}, {'DEL', KEYS[2]},
  {'ZADD', KEYS[2], 1, '1'}, {'ZCARD', KEYS[2]}, {'ZREMRANGEBYSCORE', KEYS[2], 0, 0}, {'ZREM', KEYS[2], '1'},
  {'XADD', KEYS[2], '*', '1', '1'}, {'XLEN', KEYS[2]}, {'DEL', KEYS[2]},
}) do
  redis.call(unpack(write))
end
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  return -1
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return math.max(0, tonumber(string.match(epoch, ':(%d+)$')) - now)
