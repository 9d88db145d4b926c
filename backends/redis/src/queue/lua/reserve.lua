
-- KEYS[5]: the list to which a waiting reserve moves a message before this script reserves it.
-- ARGV: the most messages less one; the lease in ms; the id of this reserve; where to look: "ready",
-- "claimed" to look there first, or "wait" for a script after a wait; 1 to make due messages ready first; the
-- largest element to return; and the number of bytes that are enough.
-- Reply: the elements, the end of the lease if there are any, and the ms until a message is due, or an empty
-- string if none is; "more" if further messages may be ready. An element that is too large is empty in the
-- reply. If the messages cannot be stored, the reply is that error, and nothing has changed.
local claimed = KEYS[5]
local last, lease, reserve_id, where = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local largest, enough = tonumber(ARGV[6]), tonumber(ARGV[7])
local most = last + 1
local fields, answer, taken, bytes = {}, {}, 0, 0

-- Selects the first elements of a list. Returns how many of its elements that covers.
local function choose(list)
  local found = first(list, taken == 0 and last or tostring(most - taken - 1))
  for i = 1, #found do
    local element = found[i]
    if element ~= '' then
      if bytes >= enough then return i - 1 end
      taken = taken + 1
      fields[2 * taken - 1] = reserve_id .. sub(digits, 2 * taken - 1, 2 * taken)
      fields[2 * taken] = element
      if #element > largest then element = '' end
      answer[taken] = element
      bytes = bytes + #element
    end
  end
  return #found
end

-- The ms until a delayed message is due or a lease ends, at most 2^53: another program may have written any score.
local function next_due()
  local due = call('ZRANGE', delayed, '0', '0', 'WITHSCORES')[2]
  local ends = call('ZRANGE', leases, '0', '0', 'WITHSCORES')[2]
  if not due and not ends then return '' end
  local left = math.min(due or math.huge, ends or math.huge) - now
  return format('%.0f', math.max(0, math.min(left, 9007199254740992)))
end

local makes_due_ready = ARGV[5] == '1'
local is_any_due = makes_due_ready and make_due_ready()
local from_claimed, from_ready = 0, 0
if where ~= 'ready' then from_claimed = choose(claimed) end
-- A cancelled wait that claimed nothing must not take messages from those that come after it.
if taken < most and (where ~= 'wait' or taken > 0 or is_any_due or is_nudged) then from_ready = choose(ready) end
if taken == 0 and where == 'ready' then from_claimed = choose(claimed) end
if taken == 0 and not makes_due_ready and make_due_ready() then from_ready = choose(ready) end
-- The next wait need not look at the queue first. Computed before anything is written, because it may fail.
local is_all = taken == 0 or (where ~= 'ready' and taken < most and bytes < enough)
local due = is_all and next_due() or 'more'
if taken == 0 then return { due } end
local till = format('%.0f', now + lease)
-- The lease comes first, so that no message is reserved without one if a command fails.
local name = reserve_id .. '/' .. taken
call('ZADD', leases, till, name)
local stored = redis.pcall('HSET', held, unpack(fields))
if type(stored) == 'table' then
  call('ZREM', leases, name)
  return stored
end
if from_claimed > 0 then call('LTRIM', claimed, tostring(from_claimed), '-1') end
if from_ready > 0 then call('LTRIM', ready, tostring(from_ready), '-1') end
answer[taken + 1], answer[taken + 2] = till, due
return answer
