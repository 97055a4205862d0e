-- The books of a show as one script sees them: records are read once, changed in Lua tables, and
-- written together by commit.lua. Until then nothing is written, so a refusal anywhere leaves no
-- half-done change.
local AVAILABLE, HELD, SOLD, WITHDRAWN = 2, 3, 4, 5 -- stock record: {allocated, available, held, sold, withdrawn, price, per_buyer, product}
-- Reservation record. Lines: {sku, qty, sku, qty, ...} sorted by SKU. Not yet known: 0 for moments,
-- '' for the order; offer: 1 when it came from the waitlist, else 0; first: the deadline before
-- more time was given. Who, which and what state come first: a reader that is not concerned looks
-- no further. What the buyer asks for comes before what a hold adds to it: a request (reserve.lua)
-- is the fields up to the key.
local R_USER, R_ID, R_STATE, R_OFFER, R_SALE, R_LINES, R_KEY = 1, 2, 3, 4, 5, 6, 7
local R_AMOUNT, R_CURRENCY, R_CREATED, R_UNTIL, R_ENDED, R_ORDER, R_FIRST = 8, 9, 10, 11, 12, 13, 14
local sales, stock, reservations, buyers
local dirty_sales, dirty_stock, dirty_buyers
local due_set, due_clear
local due_new    -- {deadline, id, ...} of holds made in this call
local to_serve   -- sale/sku -> {sale, sku}: units came free, the line is to be served
local touched    -- sale id -> {sku -> true}: what the state lane must carry
local changed    -- reservation ids in the order they changed, for the personal lane
local is_changed -- reservation id -> true
local made       -- ids of holds that were asked for in this call
local origin     -- who asked for them: their answers tell the buyers, the personal lane those on other nodes; '' = nobody's do
local ledger     -- packed entries, in order
local events     -- packed events, in order
local names      -- sale id -> sku -> `sale/sku`
each_call(function()
  sales, stock, reservations, buyers = {}, {}, {}, {}
  dirty_sales, dirty_stock, dirty_buyers = {}, {}, {}
  due_set, due_clear, due_new = {}, {}, {}
  to_serve, touched, names = {}, {}, {}
  changed, is_changed, made, origin = {}, {}, {}, ''
  ledger, events = {}, {}
end)

-- A record of a hash as a table, false when there is none. What was fetched or made in this call
-- stays packed until somebody looks inside.
local function record_of(key, into, id)
  local record = into[id]
  if record == nil then record = call('HGET', key, id) end
  if type(record) == 'string' then record = unpack_record(record) end
  into[id] = record
  return record
end

local function sale_of(id) return record_of(K.sales, sales, id) end
local function reservation_of(id) return record_of(K.reservations, reservations, id) end
local function buyer_of(user) return record_of(K.buyers, buyers, user) end

-- The field of a SKU's books: made once a call and not at every look.
local function name_of(sale_id, sku)
  local of = names[sale_id]
  if not of then
    of = {}
    names[sale_id] = of
  end
  local name = of[sku]
  if not name then
    name = sale_id .. '/' .. sku
    of[sku] = name
  end
  return name
end

local function stock_of(sale_id, sku) return record_of(K.stock, stock, name_of(sale_id, sku)) end

-- Reads many records of one hash with few commands. Lua's unpack() takes some 8,000 values at the
-- most.
local function fetch(key, into, fields)
  for from = 1, #fields, 1000 do
    local to = math.min(from + 999, #fields)
    local raws = call('HMGET', key, unpack(fields, from, to))
    for i = from, to do
      if into[fields[i]] == nil then into[fields[i]] = raws[i - from + 1] end
    end
  end
end

-- Buyer record: sale id -> {units held and owned, {sku -> units}, {sku -> {place in the waitlist
-- zset, qty, reservation id of the offer to come, joined at, key}}, ids of live holds and orders,
-- each behind a blank}. It stays when everything ended: a buyer who once had something in a sale
-- may repeat that key, and no node may answer it without Redis.
local B_UNITS, B_BY_SKU, B_WAITS, B_IDS = 1, 2, 3, 4

local function touch(sale_id, sku)
  local skus = touched[sale_id]
  if not skus then
    skus = {}
    touched[sale_id] = skus
  end
  if sku then skus[sku] = true end
end

local function save_sale(sale)
  dirty_sales[sale.id] = sale
  touch(sale.id)
end

local function note_change(id)
  if is_changed[id] then return end
  is_changed[id] = true
  changed[#changed + 1] = id
end

-- A run: holds of one kind (holds.lua) made one after the other, which are one entry of the ledger.
local run
each_call(function() run = nil end)

-- Ledger lines of a kind of hold made `count` times.
local function lines_of(kind, before, count)
  local lines = {}
  for i = 1, #kind.lines, 2 do
    local qty, b = kind.lines[i + 1], before[i]
    lines[#lines + 1] = { kind.lines[i], qty, b[1], b[2], b[3], b[4], b[1] - count * qty, b[2] + count * qty, b[3], b[4] }
  end
  return lines
end

local HOLD = '\164hold' -- as pack('hold') would say it
local function end_run()
  if not run then return end
  local count = #run.records
  -- MessagePack: an array of 2 + count values.
  ledger[#ledger + 1] = struct.pack('>BI2', 0xdc, 2 + count) .. HOLD .. pack(lines_of(run.kind, run.before, count)) .. table.concat(run.records)
  run = nil
end

-- Ledger entry: {kind, sale, reservation, user, actor, key, reason, lines, extra}; of a run of
-- holds, {'hold', lines, record, record, ...}. A line: {sku, qty, available, held, sold, withdrawn
-- before, the same four after}; of a run, qty is that of each hold, and after is after them all.
local function enter(kind, sale_id, reservation_id, user, actor, key, reason, lines, extra)
  end_run()
  ledger[#ledger + 1] = pack({ kind, sale_id, reservation_id, user, actor, key, reason, lines, extra })
end

local function units_came_free(sale_id, sku) to_serve[name_of(sale_id, sku)] = { sale_id, sku } end

-- Moves units between two columns of a SKU's books; answers the ledger line. The caller has checked
-- that it may.
local function move_units(sale_id, sku, qty, from, to)
  local books = stock_of(sale_id, sku)
  local line = { sku, qty, books[2], books[3], books[4], books[5], 0, 0, 0, 0 }
  books[from] = books[from] - qty
  books[to] = books[to] + qty
  line[7], line[8], line[9], line[10] = books[2], books[3], books[4], books[5]
  dirty_stock[name_of(sale_id, sku)] = books
  touch(sale_id, sku)
  if to == AVAILABLE then units_came_free(sale_id, sku) end
  return line
end

local function standing(user, sale_id)
  local buyer = buyer_of(user) or {}
  buyers[user] = buyer
  if not buyer[sale_id] then buyer[sale_id] = { 0, {}, {}, '' } end
  dirty_buyers[user] = true
  return buyer[sale_id]
end

local function take_back(user, sale_id, lines, reservation_id)
  local mine = standing(user, sale_id)
  local by_sku = mine[B_BY_SKU]
  for i = 1, #lines, 2 do
    local sku, qty = lines[i], lines[i + 1]
    mine[B_UNITS], by_sku[sku] = mine[B_UNITS] - qty, by_sku[sku] - qty
    if by_sku[sku] == 0 then by_sku[sku] = nil end
  end
  local ids = mine[B_IDS]
  local from, to = string.find(ids .. ' ', ' ' .. reservation_id .. ' ', 1, true)
  if from then mine[B_IDS] = string.sub(ids, 1, from - 1) .. string.sub(ids, to) end
end
