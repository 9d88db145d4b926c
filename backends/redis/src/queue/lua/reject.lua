
-- KEYS[5]: the ready messages of the dead-letter queue. ARGV: the field of an element that no worker can handle;
-- its own lease, or an empty string; the header that makes it the body of a message, or an empty string for a
-- message.
-- Reply: 1 if it was reserved, else 0.
local element = call('HGET', held, ARGV[1])
if not element then return 0 end
call('RPUSH', KEYS[5], ARGV[3] .. element)
call('HDEL', held, ARGV[1])
call('ZREM', leases, ARGV[2])
return 1
