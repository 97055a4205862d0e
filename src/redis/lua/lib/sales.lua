-- sales: the state of a sale, its events, and what time does to it.
-- Exports Sales.live_delta, announce, announce_stock, check_window, open, finish, current,
-- check_sold_out, update_sold_out.
-- @include fields show books ledger events limits
local S = Fields.stock
local Sales = {}
local to_check -- sale id -> true

function Sales.each_call()
  Sales.live_delta = 0 -- change of the number of sales that are not over
  to_check = {}
end

-- Returns the public view of a sale as it will be after this call's commit. `is_over`: without the
-- SKUs that cannot be read, as they must not keep a sale open.
local function view(sale, is_over)
  local names, skus, left = {}, {}, 0
  for i = 1, #sale.skus do names[i] = Books.name_of(sale.id, sale.skus[i]) end
  Show.try(Books.fetch, Show.keys.stock, Books.stocks, names)
  local stock_of = is_over and Books.readable_stock or Books.stock_of
  for _, sku in ipairs(sale.skus) do
    local stock = stock_of(sale.id, sku)
    if stock then
      local shown = { sku = sku, product = stock[S.PRODUCT], price = stock[S.PRICE], left = stock[S.AVAILABLE] }
      if stock[S.PER_BUYER] > 0 then shown.perBuyer = stock[S.PER_BUYER] end
      skus[#skus + 1], left = shown, left + stock[S.AVAILABLE]
    end
  end
  return {
    id = sale.id, title = sale.title, state = sale.state, opensAt = sale.opensAt, closesAt = sale.closesAt,
    holdMs = sale.holdMs, perBuyer = sale.perBuyer, currency = sale.currency, skus = skus, rev = Show.rev + 1,
  }, left
end

local function announce(sale, kind, is_over)
  Books.save_sale(sale)
  Events.emit(kind, { sale = (view(sale, is_over)) })
end
Sales.announce = announce

-- Returns nil if a sale may have this window, else details. Only Redis can check its length: the
-- moments may be relative to the Redis clock.
function Sales.check_window(opens_at, closes_at)
  local now, min, max = Show.now, Limits.saleDurationMinMs, Limits.saleDurationMaxMs
  if not closes_at then return nil end
  if closes_at <= math.max(now, opens_at or now) then return { field = 'closesAt', now = now } end
  local length = opens_at and closes_at - opens_at
  if length and (length < min or length > max) then
    return { field = 'closesAt', lengthMs = length, minMs = min, maxMs = max }
  end
  return nil
end

-- Removes a planned moment: 'o' opening, 'c' closing.
local function unplan(sale, moment)
  local member = moment .. ':' .. sale.id
  Books.due_clear[#Books.due_clear + 1] = member
  Books.due_set[member] = nil
end

local function open(sale, actor, key)
  sale.state, sale.openedAt = 'open', Show.now
  if not sale.opensAt or sale.opensAt > Show.now then sale.opensAt = Show.now end
  if sale.durationMs and not sale.closesAt then sale.closesAt = sale.opensAt + sale.durationMs end
  unplan(sale, 'o')
  if sale.closesAt then Books.due_set['c:' .. sale.id] = sale.closesAt end
  Ledger.append('sale', sale.id, false, false, actor, key, 'open')
  announce(sale, 'sale.opened')
end
Sales.open = open

-- Ends a sale: `state` is 'ended' or 'cancelled'.
local function finish(sale, state, actor, key)
  sale.state, sale.endedAt = state, Show.now
  unplan(sale, 'o')
  unplan(sale, 'c')
  Sales.live_delta = Sales.live_delta - 1
  Ledger.append('sale', sale.id, false, false, actor, key, state)
  announce(sale, 'sale.' .. state, true)
end
Sales.finish = finish

-- Returns a sale in its state at this moment, false if there is none. The first script that reads a
-- sale at or after its moment opens or ends it.
function Sales.current(id)
  local sale, now = Books.sale_of(id), Show.now
  if not sale then return false end
  if sale.state == 'scheduled' and sale.opensAt <= now then open(sale, 'time', '') end
  if (sale.state == 'open' or sale.state == 'paused') and sale.closesAt and sale.closesAt <= now then
    finish(sale, 'ended', 'time', '')
  end
  return sale
end

-- Announces that the units of a sale changed. The state of the same commit has the numbers.
local function announce_stock(sale, kind)
  Books.save_sale(sale)
  -- Release 0.1.0 reads the view.
  Events.emit(kind, { id = sale.id, sale = Show.format == 0 and view(sale) or nil })
end
Sales.announce_stock = announce_stock

-- Announces whether a sale is sold out, if the last event said otherwise. Holds that begin and end
-- may change it many times a second: then the set of deadlines has the sale until the pause ends.
local function check_sold_out(sale)
  local next_at = (sale.soldOutAt or 0) + Limits.soldOutEveryMs
  if Show.now < next_at then
    Books.due_set['s:' .. sale.id] = next_at
    return
  end
  -- A SKU that cannot be read must not stop what happens to the others.
  local is_read, _, left = Show.try(view, sale)
  if not is_read or (left == 0) == (sale.soldOut or false) then return end
  sale.soldOut, sale.soldOutAt = left == 0 or nil, Show.now
  announce_stock(sale, left == 0 and 'sale.sold_out' or 'sale.stocked')
end

-- Checks at the end of this call whether the last event says what is true.
function Sales.check_sold_out(id) to_check[id] = true end

-- Announces sales that sold out, or have units again, in this call.
function Sales.update_sold_out()
  for id, skus in pairs(Books.touched) do
    local empty, free = false, false
    for sku in pairs(skus) do
      if Books.stock_of(id, sku)[S.AVAILABLE] == 0 then empty = true else free = true end
    end
    local sale = Books.sale_of(id)
    if sale and (sale.soldOut and free or not sale.soldOut and empty and not free) then to_check[id] = true end
  end
  for id in pairs(to_check) do
    local sale = Books.sale_of(id)
    if sale and (sale.state == 'open' or sale.state == 'paused') then check_sold_out(sale) end
  end
end

return Sales
