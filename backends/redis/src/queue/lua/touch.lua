
-- ARGV: the field of the message; the one that follows it; the lease in ms; the lease that the field has to
-- itself, or an empty text.
-- Answer: the end of the lease, or an empty text where the message is not held any more. Since the next
-- field follows from this one, a touch whose answer was lost can be repeated.
local field, following, lease, own = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local element = call('HGET', held, field)
if not element and call('HEXISTS', held, following) == 0 then return '' end
local till = format('%.0f', now + lease)
if element then call('HSET', held, following, element) end
call('ZADD', leases, till, following)
call('HDEL', held, field)
call('ZREM', leases, own)
return till
