-- What the scripts of a queue begin with. Each names the keys of one queue, in this order.
local ready, delayed, leases, held = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- Arguments of commands are texts wherever they can be: to print a number takes longer than many commands.
local call, sub, match, format = redis.call, string.sub, string.match, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
