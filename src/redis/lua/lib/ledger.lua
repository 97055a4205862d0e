-- ledger: the entries of one script call, in order; write() appends them to the stream. An entry:
-- {kind, sale, reservation, user, actor, key, reason, items, extra}. Consecutive holds of one
-- template (holds.lua) are a run, which is one entry: {'hold', items, record, record, ...}. An
-- item: {sku, qty, available, held, sold, withdrawn before, the same four after}; in a run, qty
-- counts for each hold and the last four are the values after all of them.
-- Exports Ledger.run ({template, before, records} or false), append, end_run,
-- must_be_stream, check, write.
-- @include show
local call, pack, concat, struct_pack = redis.call, cmsgpack.pack, table.concat, struct.pack
local K = Show.keys
local HOLD = '\164hold' -- what pack('hold') returns
local Ledger = {}
local entries

function Ledger.each_call() entries, Ledger.run = {}, false end

local function items_of(run, count)
  local asked, items = run.template.items, {}
  for i = 1, #asked, 2 do
    local qty, b = asked[i + 1], run.before[i]
    items[#items + 1] = { asked[i], qty, b[1], b[2], b[3], b[4], b[1] - count * qty, b[2] + count * qty, b[3], b[4] }
  end
  return items
end

local function end_run()
  local run = Ledger.run
  if not run then return end
  local count = #run.records
  local head = struct_pack('>BI2', 0xdc, 2 + count) -- MessagePack: an array of 2 + count values
  entries[#entries + 1] = head .. HOLD .. pack(items_of(run, count)) .. concat(run.records)
  Ledger.run = false
end
Ledger.end_run = end_run

function Ledger.append(kind, sale_id, reservation_id, user, actor, key, reason, items, extra)
  end_run()
  entries[#entries + 1] = pack({ kind, sale_id, reservation_id, user, actor, key, reason, items, extra })
end

-- Stops the call, before its first write, if the ledger has another type: it would be noticed only
-- after other writes.
function Ledger.must_be_stream() call('XLEN', K.ledger) end

-- The same, if this call has an entry.
function Ledger.check()
  if Ledger.run or #entries > 0 then Ledger.must_be_stream() end
end

function Ledger.write()
  end_run()
  if #entries > 0 then call('XADD', K.ledger, '*', 'e', concat(entries)) end
end

return Ledger
