
-- ARGV: the field of the message; the next field; the lease in ms; the field's own lease, or an empty string.
-- Reply: the end of the lease, or an empty string if the message is no longer reserved. The next field is
-- derived from this one, so a touch whose reply was lost can be repeated.
local field, following, lease, own = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local element = call('HGET', held, field)
if not element and call('HEXISTS', held, following) == 0 then return '' end
local till = format('%.0f', now + lease)
-- The lease comes first, so that no message is reserved without one if a command fails.
call('ZADD', leases, till, following)
if element then call('HSET', held, following, element) end
call('HDEL', held, field)
call('ZREM', leases, own)
return till
