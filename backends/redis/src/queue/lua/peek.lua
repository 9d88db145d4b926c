
-- ARGV: the most messages less one; the largest element that is sent; how many bytes are enough.
-- Answer: the elements, of which one that is too large is left out.
sweep()
local found, answer, bytes = first(ready, ARGV[1]), {}, 0
for i = 1, #found do
  if bytes >= tonumber(ARGV[3]) then break end
  if found[i] ~= '' and #found[i] <= tonumber(ARGV[2]) then
    answer[#answer + 1] = found[i]
    bytes = bytes + #found[i]
  end
end
return answer
