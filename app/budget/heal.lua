-- Find the keys that no script can use: of another type, or without numbers where amounts are due. All but counters are removed.
-- KEYS: the keys, of one shard  ARGV: the type of each; 'counter' and 'lease' are hashes with amounts, 'hash' has
-- numbers alone, 'epoch' is a string with a time
-- Returns the positions of those found. A counter stays as it is: `mend.lua` knows its amounts.
local AMOUNTS = {counter = {'spent', 'held'}, lease = {'amount', 'settled'}}
local found = {}
for i, name in ipairs(KEYS) do
  local amounts, is = AMOUNTS[ARGV[i]], redis.call('TYPE', name).ok
  local well = is == 'none' or is == (amounts and 'hash' or ARGV[i])
  if ARGV[i] == 'epoch' then
    well = is == 'none' or is == 'string' and string.match(redis.call('GET', name), ':%d+$') ~= nil
  end
  if well and amounts then
    for _, value in ipairs(redis.call('HMGET', name, unpack(amounts))) do
      well = well and usable(value)
    end
  elseif well and is == 'hash' then
    for _, value in ipairs(redis.call('HVALS', name)) do
      well = well and tonumber(value) ~= nil
    end
  end
  if not well then
    found[#found + 1] = i
    if ARGV[i] ~= 'counter' then
      redis.call('DEL', name)
    end
  end
end
return found
