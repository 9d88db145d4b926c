-- The beginning of all scripts of a queue. Each gets the keys of one queue, in this order.
local ready, delayed, leases, held = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- Arguments of commands are strings if possible: formatting a number takes longer than many commands.
local call, sub, match, format = redis.call, string.sub, string.match, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
