-- The counters of a shard are there again. Money is held once the pause is over.
-- KEYS: 1 epoch  2 the lock of the worker that rebuilt them  ARGV: 1 the lock's token  2 id of this epoch  3 pause in ms
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local time = redis.call('TIME')
local opens = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[3])
redis.call('SET', KEYS[1], ARGV[2] .. ':' .. string.format('%.0f', opens))
return 1
