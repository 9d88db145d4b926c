
-- The element with the count at this position incremented. A count saturates at ff. An element that is not a
-- message has no counts.
local function one_more(element, at)
  local is_message = match(sub(element, 1, 22), '^' .. string.rep('[%w_-]', 18) .. string.rep('[%da-f]', 4) .. '$')
  local count = is_message and tonumber(sub(element, at, at + 1), 16) or 255
  if count == 255 then return element end
  return sub(element, 1, at - 1) .. format('%02x', count + 1) .. sub(element, at + 2)
end
