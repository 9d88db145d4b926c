
-- The element with the count at this position incremented. A count saturates at ff.
local function one_more(element, at)
  local count = tonumber(match(sub(element, at, at + 1), '^%x%x$') or 'ff', 16)
  if count == 255 then return element end
  return sub(element, 1, at - 1) .. format('%02x', count + 1) .. sub(element, at + 2)
end
