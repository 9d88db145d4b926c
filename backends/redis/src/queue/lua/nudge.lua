
-- Adds delayed messages: pairs of a due time and an element. Where one of them is the first that is due, a
-- nudge wakes one of those who wait, which learns the new time. Nobody waits while there is a message.
local function delay(pairs_of_set)
  call('ZADD', delayed, unpack(pairs_of_set))
  local soonest = call('ZRANGE', delayed, '0', '0')[1]
  for i = 2, #pairs_of_set, 2 do
    if pairs_of_set[i] == soonest and call('LLEN', ready) == 0 then call('LPUSH', ready, '') end
  end
end
