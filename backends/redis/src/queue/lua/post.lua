
-- ARGV: how many elements have no delay; these elements; then pairs of a delay in ms and an element.
-- Reply: how many there were.
local immediate = tonumber(ARGV[1])
-- A key of another type is detected before anything is written: all are posted or none.
call('LLEN', ready)
call('ZCARD', delayed)
if immediate > 0 then call('RPUSH', ready, unpack(ARGV, 2, immediate + 1)) end
local later = {}
for i = immediate + 2, #ARGV, 2 do
  later[#later + 1] = format('%.0f', now + ARGV[i])
  later[#later + 1] = ARGV[i + 1]
end
delay(later)
return immediate + #later / 2
