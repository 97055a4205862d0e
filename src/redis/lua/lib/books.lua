-- The books of a show as one script sees them: records are read once, changed in Lua tables, and written together by
-- commit.lua. Until then nothing is written, so a refusal anywhere leaves no half-done change.
local AVAILABLE, HELD, SOLD, WITHDRAWN = 2, 3, 4, 5 -- stock record: {allocated, available, held, sold, withdrawn, price, per_buyer, product}
-- Reservation record. Not yet known: 0 for moments, '' for the order; offer: 1 when it came from the waitlist, else 0; first: the deadline before more
-- time was given. Who, which and what state come first: a reader that is not concerned looks no further.
local R_USER, R_ID, R_STATE, R_OFFER, R_SALE, R_LINES, R_AMOUNT = 1, 2, 3, 4, 5, 6, 7
local R_CURRENCY, R_CREATED, R_UNTIL, R_KEY, R_ENDED, R_ORDER, R_FIRST = 8, 9, 10, 11, 12, 13, 14
local sales, stock, reservations, buyers = {}, {}, {}, {}
local dirty_sales, dirty_stock, dirty_reservations, dirty_buyers = {}, {}, {}, {}
local due_set, due_clear = {}, {}
local to_serve = {}     -- sale/sku -> {sale, sku}: units came free, the line is to be served
local touched = {}      -- sale id -> {sku -> true}: what the state lane must carry
local changed = {}      -- reservation ids in the order they changed, for the personal lane
local changed_seen = {}
local ledger = {}       -- packed entries, in order
local events = {}       -- packed events, in order

local function sale_of(id)
  local sale = sales[id]
  if sale == nil then
    local raw = call('HGET', K.sales, id)
    sale = raw and unpack_record(raw) or false
    sales[id] = sale
  end
  return sale
end

-- `sale/sku`, the field of its books: made once a call and not at every look.
local names = {}
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

local function stock_of(sale_id, sku)
  local field = name_of(sale_id, sku)
  local books = stock[field]
  if books == nil then
    local raw = call('HGET', K.stock, field)
    books = raw and unpack_record(raw) or false
    stock[field] = books
  end
  return books
end

-- Reads many records of one hash with few commands. Lua's unpack() takes some 8,000 values at the most.
local function fetch(key, into, fields)
  local wanted, n = {}, 0
  for i = 1, #fields do
    local field = fields[i]
    if into[field] == nil then
      n = n + 1
      wanted[n] = field
      into[field] = false
    end
  end
  for from = 1, n, 1000 do
    local to = math.min(from + 999, n)
    local raws = call('HMGET', key, unpack(wanted, from, to))
    for i = from, to do
      local raw = raws[i - from + 1]
      if raw then into[wanted[i]] = unpack_record(raw) end
    end
  end
end

local function reservation_of(id)
  if reservations[id] == nil then fetch(K.reservations, reservations, { id }) end
  return reservations[id]
end

local function buyer_of(user)
  if buyers[user] == nil then fetch(K.buyers, buyers, { user }) end
  return buyers[user]
end

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
  dirty_reservations[id] = true
  if not changed_seen[id] then
    changed_seen[id] = true
    changed[#changed + 1] = id
  end
end

-- Ledger entry: {kind, sale, reservation, user, actor, key, reason, lines, extra}.
-- A line: {sku, qty, available, held, sold, withdrawn before, the same four after}.
local function enter(kind, sale_id, reservation_id, user, actor, key, reason, lines, extra)
  ledger[#ledger + 1] = pack({ kind, sale_id, reservation_id, user, actor, key, reason, lines, extra })
end

local function units_came_free(sale_id, sku) to_serve[name_of(sale_id, sku)] = { sale_id, sku } end

-- Moves units between two columns of a SKU's books; answers the ledger line. The caller has checked that it may.
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

-- Buyer record: sale id -> {n = units held and owned, k = {sku -> units}, r = {ids of live holds and orders},
-- w = {sku -> {place in the waitlist zset, qty, reservation id of the offer to come, joined at, key}}}. It stays when everything ended: a buyer who
-- once had something in a sale may repeat that key, and no node may answer it without Redis.
local function standing(user, sale_id)
  local buyer = buyer_of(user) or {}
  buyers[user] = buyer
  if not buyer[sale_id] then buyer[sale_id] = { n = 0, k = {}, r = {}, w = {} } end
  dirty_buyers[user] = true
  return buyer[sale_id]
end

local function give(user, sale_id, lines, reservation_id)
  local mine = standing(user, sale_id)
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    mine.n = mine.n + qty
    mine.k[sku] = (mine.k[sku] or 0) + qty
  end
  mine.r[#mine.r + 1] = reservation_id
end

local function take_back(user, sale_id, lines, reservation_id)
  local mine = standing(user, sale_id)
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    mine.n = mine.n - qty
    mine.k[sku] = mine.k[sku] - qty
    if mine.k[sku] == 0 then mine.k[sku] = nil end
  end
  for i = 1, #mine.r do
    if mine.r[i] == reservation_id then
      table.remove(mine.r, i)
      break
    end
  end
end
