-- KEYS: ready, delayed, held. ARGV: the message id; the number of the key to search; where to continue in it; and
-- possibly the beginning of the SHA-1 of an element that is not a message, from which its id is derived.
-- Reply: the element if it was found, else an empty string; where to continue, 0 at the end; how many
-- elements were searched.
local id, place, from, hash = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found, following, step = nil, '0', 1
if place == '1' then
  found = redis.call('LRANGE', KEYS[1], from, tostring(from + 99))
  if #found == 100 then following = tostring(from + 100) end
else
  local page = redis.call(place == '2' and 'ZSCAN' or 'HSCAN', KEYS[tonumber(place)], from, 'COUNT', '100')
  following, found, step = page[1], page[2], 2
end
-- A sorted set returns the element first, a hash second.
for i = place == '3' and 2 or 1, #found, step do
  local element = found[i]
  if string.sub(element, 1, #id) == id or hash and string.sub(redis.sha1hex(element), 1, #hash) == hash then
    return { element, '0', '0' }
  end
end
return { '', following, tostring(#found / step) }
