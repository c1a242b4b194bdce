-- Find the keys that no script can use: of another type, or without numbers where amounts are due. All but counters are removed.
-- KEYS: the keys, of one shard  ARGV: the type of each; 'counter' and 'lease' are hashes with amounts, 'epoch' a string with a time
-- Returns the positions of those found. A counter stays as it is: `mend.lua` knows its amounts.
local AMOUNTS = {counter = {'spent', 'held'}, lease = {'amount', 'settled'}}
local found = {}
for i, name in ipairs(KEYS) do
  local amounts, is = AMOUNTS[ARGV[i]], redis.call('TYPE', name).ok
  local usable = is == 'none' or is == (amounts and 'hash' or ARGV[i])
  if ARGV[i] == 'epoch' then
    usable = is == 'none' or is == 'string' and string.match(redis.call('GET', name), ':%d+$') ~= nil
  end
  if usable and amounts then
    for _, value in ipairs(redis.call('HMGET', name, unpack(amounts))) do
      usable = usable and (not value or string.match(value, '^%-?%d+$') ~= nil)
    end
  end
  if not usable then
    found[#found + 1] = i
    if ARGV[i] ~= 'counter' then
      redis.call('DEL', name)
    end
  end
end
return found
