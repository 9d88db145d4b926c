-- Moves up to ARGV[1] + 1 messages into the hash of reserved ones, with one lease for all of them.
-- No delays, no leases that end: what a reserve must do at least.
--
-- KEYS ready, waiting, reserved, leases. ARGV last index, lease in ms, name of this reserve.
local digits = '00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899'
local call, sub = redis.call, string.sub
local from = KEYS[2]
local found = call('LRANGE', from, '0', ARGV[1])
if #found == 0 then
  from = KEYS[1]
  found = call('LRANGE', from, '0', ARGV[1])
end
local n = #found
if n == 0 then return found end
local t = call('TIME')
local fields = {}
for i = 1, n do
  fields[2 * i - 1] = ARGV[3] .. sub(digits, 2 * i - 1, 2 * i)
  fields[2 * i] = found[i]
end
call('HSET', KEYS[3], unpack(fields))
call('ZADD', KEYS[4], string.format('%.0f', t[1] * 1000 + ARGV[2]), ARGV[3] .. '/' .. n)
call('LTRIM', from, tostring(n), '-1')
return found
