-- A user's counter goes on under a pseudonym. KEYS: the counter, the pseudonym's. Returns 1, or 0 where money is held in it: a call
-- is under way and will settle there. Amounts are added, for a call may have ended since this was done before.
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
local held = tonumber(redis.call('HGET', KEYS[1], 'held') or '0')
if held ~= 0 then return 0 end
if KEYS[1] == KEYS[2] then return 1 end -- it is counted under the pseudonym already
local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or '0')
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HINCRBY', KEYS[2], 'spent', spent)
if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
return 1
