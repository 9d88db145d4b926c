
-- KEYS[5]: the ready messages of the dead-letter queue. ARGV: the field of an element that is no message;
-- the lease that it has to itself, or an empty text; what makes a message of it, put in front.
-- Answer: whether it was held, as 1 or 0.
local element = call('HGET', held, ARGV[1])
if not element then return 0 end
call('RPUSH', KEYS[5], ARGV[3] .. element)
call('HDEL', held, ARGV[1])
call('ZREM', leases, ARGV[2])
return 1
