-- Add to a counter what it lacks, once for each mend: the client repeats a command whose connection broke before the answer came.
-- KEYS: 1 the counter  2 leases of the shard
-- ARGV: 1 micro-dollars to add  2 the id of this mend  3 '1': no script could use it, and it begins anew
--       4 prefix of lease keys  5 seconds to keep one that begins anew
-- Returns 1; 0 if this mend was done before, or the counter was usable before and is not now, or the other way round.
local found = redis.pcall('HMGET', KEYS[1], 'spent', 'held', 'mended')
local well = not found.err and usable(found[1]) and usable(found[2])
if well ~= (ARGV[3] == '0') or well and found[3] == ARGV[2] then
  return 0
end
if not well then
  local held = 0
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local lease = redis.pcall('HMGET', ARGV[4] .. id, 'amount', '4', '5', '6', '7', '8') -- an error has no fields
    for i = 2, 6 do
      held = held + (lease[i] == KEYS[1] and tonumber(lease[1] or '0') or 0)
    end
  end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'held', held)
  redis.call('EXPIRE', KEYS[1], ARGV[5])
end
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[1])
redis.call('HSET', KEYS[1], 'mended', ARGV[2])
return 1
