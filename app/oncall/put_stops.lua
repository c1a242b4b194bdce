-- Put entries of the kill switch, each only if it is newer than the stored one (see stops.py).
-- KEYS[1] the hash; ARGV[1] the field that says that nothing is missing, or empty; then field, version, stopped (0 or 1), JSON.
for i = 2, #ARGV, 4 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  local known = stored and cjson.decode(stored)
  local version, stopped = tonumber(ARGV[i + 1]), ARGV[i + 2] == '1'
  if not known or known.version < version or (known.version == version and stopped and not known.stopped) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 3])
  end
end
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], '1')
end
return 1
