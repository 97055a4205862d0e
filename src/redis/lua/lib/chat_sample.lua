-- chat_sample: which messages are shown when a room has more chat than its display cap. Chosen
-- here, where all nodes meet, so that the cap counts for the room and every node shows the same.
-- Marked messages are always shown. Each other message has the same chance: it adds the share that
-- fits under the cap to a sum, and a message is shown at every whole number. The sum continues over
-- batches and nodes.
-- Exports ChatSample.choose.
local pack, unpack_record, floor, max = cmsgpack.pack, cmsgpack.unpack, math.floor, math.max
local SLOTS, SLOT_MS = 11, 100 -- a whole second and the slot that has just begun

-- A window: {newest slot, sum, messages by slot, marked messages by slot, shown messages by slot}.
local function new_window(slot)
  local window = { slot, 0, {}, {}, {} }
  for i = 1, SLOTS do window[3][i], window[4][i], window[5][i] = 0, 0, 0 end
  return window
end

local function window_at(slot, packed)
  local is_packed, window = pcall(unpack_record, packed)
  local is_window = is_packed and type(window) == 'table' and type(window[5]) == 'table'
  -- A clock that was set back starts a new window.
  if not is_window or slot < window[1] or slot >= window[1] + SLOTS then return new_window(slot) end
  for passed = window[1] + 1, slot do
    local i = passed % SLOTS + 1
    window[3][i], window[4][i], window[5][i] = 0, 0, 0
  end
  window[1] = slot
  return window
end

-- Returns nil if all messages are shown, else the indexes (from 0) of those that are; and the
-- window to keep. `marked`: the indexes of marked messages. `packed`: the window of the call
-- before, or false.
local function choose(now, count, marked, cap, packed)
  local slot = floor(now / SLOT_MS)
  local window = window_at(slot, packed)
  local asked, marks, shown = window[3], window[4], window[5]
  local here = slot % SLOTS + 1
  local ordinary = count - #marked
  asked[here], marks[here] = asked[here] + ordinary, marks[here] + #marked
  local all_asked, free = 0, cap
  for i = 1, SLOTS do all_asked, free = all_asked + asked[i], free - marks[i] end
  local share = max(0, free) / max(1, all_asked)
  for i = 1, SLOTS do free = free - shown[i] end

  local kept = nil
  if share >= 1 or ordinary == 0 then
    shown[here] = shown[here] + ordinary
  else
    kept = {}
    local is_marked, sum = {}, window[2]
    for i = 1, #marked do is_marked[marked[i]] = true end
    for i = 0, count - 1 do
      if not is_marked[i] then sum = sum + share end
      if is_marked[i] then
        kept[#kept + 1] = i
      elseif sum > 0.999999 then
        sum = sum - 1
        -- Above the cap the chance is lost, so that the next free unit goes to no particular
        -- writer.
        if free >= 1 then
          kept[#kept + 1] = i
          free, shown[here] = free - 1, shown[here] + 1
        end
      end
    end
    window[2] = sum
  end
  return kept, pack(window)
end

return { choose = choose }
