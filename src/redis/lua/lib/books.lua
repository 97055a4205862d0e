-- books: the records of a show as one script call sees them. They are read once and changed in Lua
-- tables; commit.lua writes them together, so a refusal leaves no partial change.
-- Exports the records by id (sales, stocks, reservations, buyers), which of them changed
-- (dirty_sales, dirty_stocks, dirty_buyers, changed, dropped), due_head, due_set, due_clear,
-- due_new, due_new_first, to_serve, touched, made, origin, and the functions at the end.
-- @include fields show
local call, read, type, min, find, sub = redis.call, Show.read, type, math.min, string.find, string.sub
local K = Show.keys
local S, B, R = Fields.stock, Fields.buyer, Fields.reservation
local AVAILABLE, HELD, SOLD, WITHDRAWN = S.AVAILABLE, S.HELD, S.SOLD, S.WITHDRAWN
local UNITS, BY_SKU, IDS = B.UNITS, B.BY_SKU, B.IDS
local FETCH_MAX = 1000 -- Lua's unpack() takes some 8,000 values
local Books = {}
local sales, stocks, reservations, buyers
local dirty_buyers
local names -- sale id -> sku -> `sale/sku`
local is_changed -- reservation id -> true

function Books.each_call()
  sales, stocks, reservations, buyers, dirty_buyers, names, is_changed = {}, {}, {}, {}, {}, {}, {}
  Books.sales, Books.stocks, Books.reservations, Books.buyers = sales, stocks, reservations, buyers
  Books.dirty_sales, Books.dirty_stocks, Books.dirty_buyers = {}, {}, dirty_buyers
  Books.dropped = {} -- `sale/sku`: stock records to delete
  Books.changed = {} -- reservation ids in the order in which they changed
  Books.made = {} -- ids of new holds that a request asked for
  Books.origin = '' -- the room that asked for them and reports them to its buyers; '' = none
  Books.due_set, Books.due_clear = {}, {} -- member -> moment; members to remove
  Books.due_new = {} -- {deadline, id, ...} of new holds
  Books.due_new_first = nil -- the first of these deadlines
  Books.due_head = nil -- {member, moment}: the first of all, if due.lua has read it and nothing was due
  Books.to_serve = {} -- `sale/sku` -> {sale, sku}: freed units, which the waitlist is offered first
  Books.touched = {} -- sale id -> {sku -> true}: what the state lane must carry
end

local function is_sale(record) return type(record.skus) == 'table' and type(record.state) == 'string' end
local function is_stock(record) return record[S.PRODUCT] ~= nil end
local function is_reservation(record) return record[R.FIRST_UNTIL] ~= nil and type(record[R.ITEMS]) == 'table' end
local function is_buyer(record)
  for _, entry in pairs(record) do
    if type(entry) ~= 'table' or type(entry[IDS]) ~= 'string' then return false end
  end
  return true
end

-- Returns the record of a hash as a table, false if there is none. Fetched records stay packed
-- until they are used. Stops the call if the record cannot be read.
local function record_of(key, cache, id, is_valid)
  local record = cache[id]
  if record == nil then record = call('HGET', key, id) end
  if type(record) == 'string' then record = read(key, id, record, is_valid) end
  cache[id] = record
  return record
end

local function sale_of(id) return record_of(K.sales, sales, id, is_sale) end
local function reservation_of(id) return record_of(K.reservations, reservations, id, is_reservation) end
local function buyer_of(user) return record_of(K.buyers, buyers, user, is_buyer) end

-- Returns the field of a SKU's stock record, `sale/sku`. Cached, because a rush asks for it often.
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

local function stock_of(sale_id, sku) return record_of(K.stock, stocks, name_of(sale_id, sku), is_stock) end

-- Returns nil if there is none, or it cannot be read.
local function readable_stock(sale_id, sku)
  local is_read, stock = Show.try(stock_of, sale_id, sku)
  return is_read and stock or nil
end

-- Reads many records of one hash with few commands.
local function fetch(key, cache, fields)
  for from = 1, #fields, FETCH_MAX do
    local to = min(from + FETCH_MAX - 1, #fields)
    local records = call('HMGET', key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then cache[fields[i]] = records[i - from + 1] end
    end
  end
end

-- Returns a sale with the stock of its SKUs in the cache, so that nothing of it is read after the
-- first write.
local function whole_sale(id)
  local sale, fields = sale_of(id), {}
  for i = 1, sale and #sale.skus or 0 do fields[i] = name_of(id, sale.skus[i]) end
  fetch(K.stock, stocks, fields)
  for i = 1, #fields do stock_of(id, sale.skus[i]) end
  return sale
end

-- Returns the sales that can be read.
local function readable_sales()
  local found = {}
  for _, packed in ipairs(call('HVALS', K.sales)) do
    local is_read, record = Show.try(read, K.sales, '', packed, is_sale)
    local has_stock, sale = Show.try(whole_sale, is_read and record.id)
    if has_stock and sale then found[#found + 1] = sale end
  end
  return found
end

local function touch(sale_id, sku)
  local touched = Books.touched
  local skus = touched[sale_id]
  if not skus then
    skus = {}
    touched[sale_id] = skus
  end
  if sku then skus[sku] = true end
end

local function save_stock(sale_id, sku)
  Books.dirty_stocks[name_of(sale_id, sku)] = true
  touch(sale_id, sku)
end

-- Forgets a SKU that a draft no longer has.
local function drop_stock(sale_id, sku)
  local name = name_of(sale_id, sku)
  stocks[name], Books.dirty_stocks[name], Books.touched[sale_id][sku] = false, nil, nil
  Books.dropped[#Books.dropped + 1] = name
end

local function units_freed(sale_id, sku) Books.to_serve[name_of(sale_id, sku)] = { sale_id, sku } end

-- Moves units between two columns of a stock record and returns the ledger item. The caller has
-- checked that there are enough.
local function transfer(sale_id, sku, qty, from, to)
  local stock = stock_of(sale_id, sku)
  local available, held, sold, withdrawn = stock[AVAILABLE], stock[HELD], stock[SOLD], stock[WITHDRAWN]
  stock[from] = stock[from] - qty
  stock[to] = stock[to] + qty
  save_stock(sale_id, sku)
  if to == AVAILABLE then units_freed(sale_id, sku) end
  return {
    sku, qty, available, held, sold, withdrawn,
    stock[AVAILABLE], stock[HELD], stock[SOLD], stock[WITHDRAWN],
  }
end

-- Returns a buyer's entry of a sale, for changing it.
local function buyer_entry(user, sale_id)
  local buyer = buyer_of(user) or {}
  buyers[user] = buyer
  if not buyer[sale_id] then buyer[sale_id] = { 0, {}, {}, '' } end
  dirty_buyers[user] = true
  return buyer[sale_id]
end

local function remove_from_buyer(user, sale_id, items, reservation_id)
  local entry = buyer_entry(user, sale_id)
  local by_sku = entry[BY_SKU]
  for i = 1, #items, 2 do
    local sku, qty = items[i], items[i + 1]
    entry[UNITS], by_sku[sku] = entry[UNITS] - qty, by_sku[sku] - qty
    if by_sku[sku] == 0 then by_sku[sku] = nil end
  end
  local ids = entry[IDS]
  local from, to = find(ids .. ' ', ' ' .. reservation_id .. ' ', 1, true)
  if from then entry[IDS] = sub(ids, 1, from - 1) .. sub(ids, to) end
end

local function mark_changed(id)
  if is_changed[id] then return end
  is_changed[id] = true
  Books.changed[#Books.changed + 1] = id
end

local function save_sale(sale)
  Books.dirty_sales[sale.id] = true
  touch(sale.id)
end

Books.sale_of, Books.stock_of, Books.reservation_of, Books.buyer_of = sale_of, stock_of, reservation_of, buyer_of
Books.name_of, Books.fetch, Books.transfer, Books.units_freed = name_of, fetch, transfer, units_freed
Books.buyer_entry, Books.remove_from_buyer, Books.mark_changed = buyer_entry, remove_from_buyer, mark_changed
Books.save_sale, Books.save_stock, Books.drop_stock = save_sale, save_stock, drop_stock
Books.whole_sale, Books.readable_sales, Books.readable_stock = whole_sale, readable_sales, readable_stock
return Books
