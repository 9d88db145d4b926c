
-- ARGV: where to continue in the reservations, 0 at the beginning. Puts back those without a lease, as when
-- only the leases were evicted.
-- Reply: where to continue, 0 at the end; and how many were put back.
local page = call('HSCAN', held, ARGV[1], 'COUNT', '100')
local has_lease, orphans = {}, {}

local function is_leased(unique)
  local names = {}
  for size = 1, 100 do names[size] = unique .. '/' .. size end
  local ends = call('ZMSCORE', leases, unpack(names))
  for size = 1, 100 do
    if ends[size] then return true end
  end
  return false
end

for i = 1, #page[2], 2 do
  local field = page[2][i]
  local is_touched = string.find(field, '.', 1, true)
  local unique = is_touched and field or sub(field, 1, -3)
  if has_lease[unique] == nil then
    if is_touched then
      has_lease[unique] = call('ZSCORE', leases, field) and true
    else
      has_lease[unique] = is_leased(unique)
    end
  end
  if not has_lease[unique] and #orphans < 1000 then orphans[#orphans + 1] = field end
end
if #orphans > 0 then put_back(orphans) end
return { page[1], #orphans }
