
-- ARGV: the delay in ms; 1 if an attempt has failed; then, once or twice, a field of the message and its own
-- lease, or an empty string: the message may have either field.
-- Reply: 1 if the message was reserved, else 0.
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
