
-- Two digits for each position in a reserve.
local digits = '0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849'
  .. '5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899'

-- Puts the messages of these fields back to the head of the queue, in order, and counts a lost delivery for
-- each. Returns whether there were any.
local function put_back(fields)
  local elements, is_any = call('HMGET', held, unpack(fields)), false
  for i = #fields, 1, -1 do
    if elements[i] then
      call('LPUSH', ready, one_more(elements[i], 21))
      is_any = true
    end
  end
  if is_any then call('HDEL', held, unpack(fields)) end
  return is_any
end
