-- A shard's counters and the entries of its stream that are not in the ledger yet, at one moment.
-- KEYS: 1 epoch  2 the ledger's stream  3.. counters
-- Returns JSON: {there, last: the stream's last id, pending: its entries, spent: one per counter, false where no script can use it}
local spent = {}
for i = 3, #KEYS do
  local found = redis.pcall('HMGET', KEYS[i], 'spent', 'held')
  spent[i - 2] = not found.err and usable(found[1]) and usable(found[2]) and (found[1] or '0')
end
local last = redis.call('TIME')[1] .. '999-0'
local stream = redis.call('TYPE', KEYS[2]).ok == 'stream'
if stream then
  local about = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then
      last = about[i + 1]
    end
  end
end
local pending = stream and redis.call('XRANGE', KEYS[2], '-', '+') or {}
local answer = {there = redis.call('EXISTS', KEYS[1]) == 1, last = last}
-- cjson writes an empty table as an object
answer.pending = #pending > 0 and pending or cjson.decode('[]')
answer.spent = #spent > 0 and spent or cjson.decode('[]')
return cjson.encode(answer)
