-- sale_move: a host's change of a sale. src/README.md draws the state machine; other moves are
-- refused as illegal_move.
-- ARGV[2]: {id, op, key, actor, body, unrecorded, opensAt, opensInMs, closesAt, durationMs, byMs,
-- sku, delta}; of 'edit' also title, holdMs, skus = array of {sku, price, quantity} (false: as it
-- is), removeSkus = array of SKUs, addSkus = array of {sku, product, price, quantity, perBuyer or
-- 0}.
-- Returns {'ok', next due, '+' or '=', packed {sale, stock, rev}} or {'ok', next due, code, packed
-- details}.
-- 'delete' cancels a draft and hides it: the ledger has its units, so its books must stay.
-- Ledger: sale (state changes), alloc, withdraw. Events:
-- sale.scheduled/opened/paused/resumed/extended/ended/cancelled/stocked.
-- @include fields show books ledger sales sale_commands limits
local S = Fields.stock
local NOT_OVER = { draft = true, scheduled = true, open = true, paused = true }
local FROM = {
  schedule = { draft = true, scheduled = true },
  open = { draft = true, scheduled = true },
  pause = { open = true },
  resume = { paused = true },
  extend = { open = true, paused = true, scheduled = true },
  edit = { draft = true }, delete = { draft = true },
  ['end'] = NOT_OVER, cancel = NOT_OVER, units = NOT_OVER,
}
-- Moves that make or keep a sale open: refused in a show that has ended.
local OPENS = { schedule = true, open = true, resume = true, extend = true }
local move = {}

local function set_state(sale, args, state, kind)
  sale.state = state
  Ledger.append('sale', sale.id, false, false, args.actor, args.key, state)
  Sales.announce(sale, kind)
end

function move.schedule(sale, args)
  local opens_at = args.opensAt or (args.opensInMs and Show.now + args.opensInMs)
  local duration = args.durationMs or (not args.closesAt and sale.durationMs or nil)
  local closes_at = args.closesAt or (duration and opens_at + duration) or sale.closesAt
  local wrong = Sales.check_window(opens_at, closes_at)
  if wrong then return 'invalid_request', wrong end
  sale.opensAt, sale.closesAt, sale.durationMs = opens_at, closes_at, duration
  Books.due_set['o:' .. sale.id] = opens_at
  set_state(sale, args, 'scheduled', 'sale.scheduled')
  Sales.current(sale.id)
end

function move.open(sale, args)
  -- A window planned by duration starts now; an absolute end stays.
  local duration = args.durationMs or sale.durationMs
  local closes_at = not duration and sale.closesAt or nil
  local wrong = Sales.check_window(Show.now, closes_at)
  if wrong then return 'invalid_request', wrong end
  sale.opensAt, sale.durationMs, sale.closesAt = Show.now, duration, closes_at
  Sales.open(sale, args.actor, args.key)
end

function move.pause(sale, args) set_state(sale, args, 'paused', 'sale.paused') end

function move.resume(sale, args)
  set_state(sale, args, 'open', 'sale.resumed')
  -- Units freed during the pause go to the waitlist first.
  for _, sku in ipairs(sale.skus) do Books.units_freed(sale.id, sku) end
end

function move.extend(sale, args)
  if not sale.closesAt then return 'illegal_move', { state = sale.state, why = 'the sale has no closing time' } end
  local latest = (sale.opensAt or Show.now) + Limits.saleDurationMaxMs
  if sale.closesAt + args.byMs > latest then return 'invalid_request', { field = 'byMs', latestClosesAt = latest } end
  sale.closesAt = sale.closesAt + args.byMs
  if sale.durationMs then sale.durationMs = sale.durationMs + args.byMs end
  if sale.state ~= 'scheduled' then Books.due_set['c:' .. sale.id] = sale.closesAt end
  local extra = { closesAt = sale.closesAt }
  Ledger.append('sale', sale.id, false, false, args.actor, args.key, 'extended', false, extra)
  Sales.announce(sale, 'sale.extended')
end

move['end'] = function(sale, args) Sales.finish(sale, 'ended', args.actor, args.key) end

function move.cancel(sale, args) Sales.finish(sale, 'cancelled', args.actor, args.key) end

function move.delete(sale, args)
  sale.deleted = true
  Sales.finish(sale, 'cancelled', args.actor, args.key)
end

local function withdraw_units(sale, args, stock)
  local sku, count = args.sku, -args.delta
  if stock[S.AVAILABLE] < count then return 'insufficient_units', { sku = sku, left = stock[S.AVAILABLE] } end
  local item = Books.transfer(sale.id, sku, count, S.AVAILABLE, S.WITHDRAWN)
  Ledger.append('withdraw', sale.id, false, false, args.actor, args.key, 'asked', { item })
end

local function add_units(sale, args, stock)
  local sku, count, limit = args.sku, args.delta, Limits.unitsPerSkuMax
  if stock[S.ALLOCATED] + count > limit then
    return 'limit_reached', { what = 'units of the SKU', limit = limit }
  end
  local available, held, sold, withdrawn = unpack(stock, S.AVAILABLE, S.WITHDRAWN)
  local item = { sku, count, available, held, sold, withdrawn, available + count, held, sold, withdrawn }
  stock[S.ALLOCATED], stock[S.AVAILABLE] = stock[S.ALLOCATED] + count, available + count
  Books.save_stock(sale.id, sku)
  Books.units_freed(sale.id, sku)
  Ledger.append('alloc', sale.id, false, false, args.actor, args.key, 'added', { item })
  if stock[S.AVAILABLE] > 0 then sale.soldOut = nil end
end

function move.units(sale, args)
  local stock = Books.stock_of(sale.id, args.sku)
  if not stock then return 'sku_not_found', { sku = args.sku } end
  local change = args.delta < 0 and withdraw_units or add_units
  local code, details = change(sale, args, stock)
  if code then return code, details end
  Sales.announce_stock(sale, 'sale.stocked')
end

local function set_of(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

-- Returns nil if a draft may have these SKUs instead, else a code and details.
local function refused_set(sale, args)
  local known, added = set_of(sale.skus), args.addSkus
  for _, sku in ipairs(args.removeSkus) do
    if not known[sku] then return 'sku_not_found', { sku = sku } end
    known[sku] = nil
  end
  for _, each in ipairs(added) do
    local sku, per_buyer = each[1], each[5]
    if known[sku] then return 'already_exists', { sku = sku } end
    if per_buyer > sale.perBuyer then
      return 'invalid_request', { field = 'perBuyer', sku = sku, max = sale.perBuyer }
    end
  end
  local count, max = #sale.skus - #args.removeSkus + #added, Limits.skusPerSaleMax
  if count < 1 then return 'invalid_request', { field = 'removeSkus', why = 'a sale has at least one SKU' } end
  if count > max then return 'limit_reached', { what = 'SKUs of the sale', limit = max } end
  -- It cannot replay such a ledger.
  if Show.format == 0 then return 'overloaded', { why = 'a process of release 0.1.0 runs: replace it first' } end
  if added[1] then return SaleCommands.refused_skus(added) end
  return nil
end

-- Returns nil if a draft may have these prices and quantities, else a code and details.
local function refused_terms(sale, args)
  local edited, removed, total = {}, set_of(args.removeSkus), 0
  for _, each in ipairs(args.skus) do edited[each[1]] = each end
  for _, sku in ipairs(sale.skus) do
    if not removed[sku] then
      local stock, _, price, quantity = Books.stock_of(sale.id, sku), unpack(edited[sku] or {})
      quantity = quantity or stock[S.AVAILABLE]
      local allocated = stock[S.ALLOCATED] + math.max(0, quantity - stock[S.AVAILABLE])
      if allocated > Limits.unitsPerSkuMax then
        return 'limit_reached', { what = 'units of the SKU', sku = sku, limit = Limits.unitsPerSkuMax }
      end
      total = total + allocated * (price or stock[S.PRICE])
      edited[sku] = nil
    end
  end
  local unknown = next(edited)
  if unknown then return 'sku_not_found', { sku = unknown } end
  for _, each in ipairs(args.addSkus) do total = total + each[3] * each[4] end
  -- Sums of money must be exact.
  if total > 9007199254740991 then return 'limit_reached', { what = 'price times quantity over all SKUs' } end
  return nil
end

-- The ledger keeps what was allocated: it withdraws all of it.
local function remove_skus(sale, args)
  local removed, kept, items = set_of(args.removeSkus), {}, {}
  for _, sku in ipairs(sale.skus) do
    if removed[sku] then
      local left = Books.stock_of(sale.id, sku)[S.AVAILABLE]
      items[#items + 1] = Books.transfer(sale.id, sku, left, S.AVAILABLE, S.WITHDRAWN)
      Books.drop_stock(sale.id, sku)
    else
      kept[#kept + 1] = sku
    end
  end
  sale.skus = kept
  if items[1] then Ledger.append('withdraw', sale.id, false, false, args.actor, args.key, 'removed', items) end
end

-- Sets the free units of a SKU.
local function set_quantity(sale, args, sku, quantity)
  local stock = Books.stock_of(sale.id, sku)
  local delta = quantity - stock[S.AVAILABLE]
  local change = { sku = sku, delta = delta, actor = args.actor, key = args.key }
  if delta ~= 0 then (delta < 0 and withdraw_units or add_units)(sale, change, stock) end
end

function move.edit(sale, args)
  local closes_at, code, details = args.closesAt, nil, nil
  if args.removeSkus[1] or args.addSkus[1] then code, details = refused_set(sale, args) end
  if not code then code, details = refused_terms(sale, args) end
  if code then return code, details end
  local wrong = Sales.check_window(nil, closes_at)
  if wrong then return 'invalid_request', wrong end
  if closes_at then sale.closesAt, sale.durationMs = closes_at, nil end
  if args.durationMs then sale.closesAt, sale.durationMs = nil, args.durationMs end
  sale.title, sale.holdMs = args.title or sale.title, args.holdMs or sale.holdMs
  remove_skus(sale, args)
  for _, each in ipairs(args.skus) do
    local sku, price, quantity = unpack(each)
    if price then
      Books.stock_of(sale.id, sku)[S.PRICE] = price
      Books.save_stock(sale.id, sku)
    end
    if quantity then set_quantity(sale, args, sku, quantity) end
  end
  if args.addSkus[1] then SaleCommands.allocate(sale, args, args.addSkus, 'listed', { skus = args.addSkus }) end
  -- Nodes of release 0.1.0 know no other event for it.
  Sales.announce(sale, 'sale.scheduled')
end

local function decide(args)
  local sale = Sales.current(args.id)
  if not sale or sale.deleted then return 'sale_not_found', { sale = args.id } end
  if Show.state == 'ended' and OPENS[args.op] then return 'show_ended', {} end
  if not FROM[args.op][sale.state] then return 'illegal_move', { state = sale.state, op = args.op } end
  local code, details = move[args.op](sale, args)
  return code or '+', details
end

return function(args) return SaleCommands.run(args, decide) end
