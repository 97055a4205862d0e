-- Which messages everybody sees when a room is louder than its display cap. Decided here, where all
-- nodes meet, so that the cap is the room's and every node shows the same. What the last second
-- brought is counted in slots. Marked messages are always shown; of the others everybody's have the
-- same chance: each adds the share that fits under the cap to a sum, and at every whole number one
-- is shown. The sum goes on from batch to batch and node to node.
local SLOTS, SLOT_MS = 11, 100 -- the slot that has just begun and a whole second before it

local function new_window(slot)
  local window = { slot, 0, {}, {}, {} }
  for i = 1, SLOTS do window[3][i], window[4][i], window[5][i] = 0, 0, 0 end
  return window
end

-- nil: all are shown; else the indexes (from 0) of those that are. `marked`: indexes of the marked
-- ones.
local function sample(count, marked, cap)
  local slot = math.floor(now / SLOT_MS)
  local raw = call('HGET', K.show, 'chat_window')
  local window = raw and unpack_record(raw)
  -- A clock that was set back starts anew.
  if not window or slot < window[1] or slot >= window[1] + SLOTS then window = new_window(slot) end
  local asked, marks, shown = window[3], window[4], window[5]
  for passed = window[1] + 1, slot do
    local i = passed % SLOTS + 1
    asked[i], marks[i], shown[i] = 0, 0, 0
  end
  window[1] = slot
  local here = slot % SLOTS + 1
  local ordinary = count - #marked
  asked[here], marks[here] = asked[here] + ordinary, marks[here] + #marked
  local all_asked, free = 0, cap
  for i = 1, SLOTS do all_asked, free = all_asked + asked[i], free - marks[i] end
  local share = math.max(0, free) / math.max(1, all_asked)
  for i = 1, SLOTS do free = free - shown[i] end

  local kept = nil
  if share >= 1 or ordinary == 0 then
    shown[here] = shown[here] + ordinary
  else
    kept = {}
    local is_marked, sum = {}, window[2]
    for i = 1, #marked do is_marked[marked[i]] = true end
    for i = 0, count - 1 do
      if is_marked[i] then
        kept[#kept + 1] = i
      else
        sum = sum + share
        if sum > 0.999999 then
          if free >= 1 then
            kept[#kept + 1] = i
            sum, free, shown[here] = sum - 1, free - 1, shown[here] + 1
          else
            sum = sum - 1 -- no room in this second: the turn is lost, for whoever came first when there is room would have it
          end
        end
      end
    end
    window[2] = sum
  end
  call('HSET', K.show, 'chat_window', pack(window))
  return kept
end
