-- Add to a counter what it lacks, once for each mend: the client repeats a command whose connection broke before the answer came.
-- KEYS: 1 the counter  ARGV: 1 micro-dollars to add  2 the id of this mend
-- Returns 1; 0 if this mend was done before.
if redis.call('HGET', KEYS[1], 'mended') == ARGV[2] then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[1])
redis.call('HSET', KEYS[1], 'mended', ARGV[2])
return 1
