
-- The element with one more in the count that begins at this place. A count stops at ff.
local function one_more(element, at)
  local count = tonumber(match(sub(element, at, at + 1), '^%x%x$') or 'ff', 16)
  if count == 255 then return element end
  return sub(element, 1, at - 1) .. format('%02x', count + 1) .. sub(element, at + 2)
end
