-- Stands before each script that reads amounts (`scripts.py`).
-- Whether a value is none, or one that HINCRBY adds to: no leading zeros, and in its range.
local function usable(value)
  return not value or value == '0' or #value < 17 and string.match(value, '^%-?[1-9]%d*$') ~= nil
end
