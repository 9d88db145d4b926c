
-- The fields of a lease: those of a whole reserve, or that of one touched message.
local function fields_of(lease)
  local reserve_id, size = match(lease, '^(.*)/([1-9]%d?%d?)$')
  if not reserve_id then return { lease } end
  local fields = {}
  for i = 1, math.min(size, 100) do fields[i] = reserve_id .. sub(digits, 2 * i - 1, 2 * i) end
  return fields
end

-- Makes due messages ready: delayed ones, and those whose leases have ended. Each is written to its new place
-- before it is removed from the old one, so that none is lost if a command fails. Returns whether there were
-- any. Leases of nothing, as another program may have written, are removed until one has held a message, a
-- hundred at a time.
local function make_due_ready()
  local stamp = format('%.0f', now)
  local due = call('ZRANGEBYSCORE', delayed, '-inf', stamp, 'LIMIT', '0', '100')
  if #due > 0 then
    for i = #due, 1, -1 do call('LPUSH', ready, due[i]) end
    call('ZREM', delayed, unpack(due))
  end
  local is_any = #due > 0
  for _ = 1, 10 do
    local ended = call('ZRANGEBYSCORE', leases, '-inf', stamp, 'LIMIT', '0', '10')
    for i = 1, #ended do
      is_any = put_back(fields_of(ended[i])) or is_any
      call('ZREM', leases, ended[i])
    end
    if is_any or #ended < 10 then break end
  end
  return is_any
end

-- Whether a nudge was removed.
local is_nudged = false

-- The first elements of a list. A nudge, an empty element that wakes a waiting reserve, is not a message.
-- Another program may have written many.
local function first(list, last)
  for _ = 1, 100 do
    local found = call('LRANGE', list, '0', last)
    if found[1] ~= '' then return found end
    local nudges = 1
    while found[nudges + 1] == '' do nudges = nudges + 1 end
    call('LTRIM', list, tostring(nudges), '-1')
    is_nudged = true
  end
  return {}
end
