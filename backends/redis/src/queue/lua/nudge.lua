
-- Adds delayed messages: pairs of due time and element. If one of them becomes the first that is due, a nudge
-- wakes one of the waiting reserves, which learns the new time. No reserve waits while there is a message.
local function delay(pairs_of_set)
  call('ZADD', delayed, unpack(pairs_of_set))
  local soonest = call('ZRANGE', delayed, '0', '0')[1]
  for i = 2, #pairs_of_set, 2 do
    if pairs_of_set[i] == soonest and call('LLEN', ready) == 0 then call('LPUSH', ready, '') end
  end
end
