
-- ARGV: the delay in ms; 1 if an attempt has failed; then a field of the message and the lease that it has
-- to itself, or an empty text, once or twice: the message may have either field.
-- Answer: whether the message was held, as 1 or 0.
for i = 3, #ARGV, 2 do
  local element = call('HGET', held, ARGV[i])
  if element then
    if ARGV[2] == '1' then element = one_more(element, 19) end
    if ARGV[1] == '0' then
      call('LPUSH', ready, element)
    else
      delay({ format('%.0f', now + ARGV[1]), element })
    end
    call('HDEL', held, ARGV[i])
    call('ZREM', leases, ARGV[i + 1])
    return 1
  end
end
return 0
