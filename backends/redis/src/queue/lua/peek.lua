
-- ARGV: the most messages less one; the largest element to return; the number of bytes that are enough.
-- Reply: the elements, without those that are too large.
make_due_ready()
local found, answer, bytes = first(ready, ARGV[1]), {}, 0
for i = 1, #found do
  if bytes >= tonumber(ARGV[3]) then break end
  if found[i] ~= '' and #found[i] <= tonumber(ARGV[2]) then
    answer[#answer + 1] = found[i]
    bytes = bytes + #found[i]
  end
end
return answer
