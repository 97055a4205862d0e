-- holds: a hold from its creation to its one end. Limits, stock, the buyer's record, the deadline
-- and the ledger change together.
-- Exports Holds.terms, template_of, over_limit, hold, offer, count, finish, reported.
-- @include fields show books ledger limits
local pack, sub = cmsgpack.pack, string.sub
local R, S, B = Fields.reservation, Fields.stock, Fields.buyer
local AVAILABLE, HELD, SOLD, WITHDRAWN = S.AVAILABLE, S.HELD, S.SOLD, S.WITHDRAWN
local UNITS, BY_SKU, IDS = B.UNITS, B.BY_SKU, B.IDS
local name_of, stock_of, buyer_of, buyer_entry = Books.name_of, Books.stock_of, Books.buyer_of, Books.buyer_entry
local RECORD_HEAD = '\158' -- MessagePack: an array of 14 values
local Holds = {}
local counts -- outcome -> {holds, units} of what this call offered and ended; nil: nothing
local templates -- `sale/sku` -> qty -> template
local terms
local reservations, buyers, dirty_buyers, due_new

function Holds.each_call()
  counts, templates, terms = nil, {}, {}
  Holds.terms = terms -- {amount, currency, created at, held until} of each template that was held
  reservations, buyers, dirty_buyers, due_new = Books.reservations, Books.buyers, Books.dirty_buyers, Books.due_new
end

local function new_template(sale, items)
  local template = { sale = sale, items = items, names = {}, stocks = {}, units = 0 }
  for i = 1, #items, 2 do
    local sku, qty = items[i], items[i + 1]
    -- Items are sorted by SKU, so duplicates are adjacent.
    if qty < 1 or (i > 1 and items[i - 2] == sku) then return nil, 'invalid_request', { sku = sku } end
    template.names[i], template.stocks[i] = name_of(sale.id, sku), stock_of(sale.id, sku)
    if not template.stocks[i] then return nil, 'sku_not_found', { sku = sku } end
    template.units = template.units + qty
  end
  return template
end

-- Returns the template of these items (sorted by SKU): what all holds of them in this call share.
-- It is computed once, because in a rush many buyers want few things. Returns nil, a code and
-- details if the items are invalid.
function Holds.template_of(sale, items)
  if #items ~= 2 then return new_template(sale, items) end
  local name, qty = name_of(sale.id, items[1]), items[2]
  local of = templates[name]
  if not of then
    of = {}
    templates[name] = of
  end
  if of[qty] then return of[qty] end
  local template, code, details = new_template(sale, items)
  of[qty] = template
  return template, code, details
end

-- Returns nil if the buyer may hold these items in addition to their entry, else a code and
-- details.
function Holds.over_limit(template, entry)
  local items, sale_limit = template.items, template.sale.perBuyer
  for i = 1, #items, 2 do
    local limit, have = template.stocks[i][S.PER_BUYER], entry and entry[BY_SKU][items[i]] or 0
    if limit > 0 and have + items[i + 1] > limit then
      return 'limit_exceeded', { sku = items[i], limit = limit, have = have }
    end
  end
  local have = entry and entry[UNITS] or 0
  if have + template.units > sale_limit then return 'limit_exceeded', { limit = sale_limit, have = have } end
  return nil
end

-- Packs an array without its first byte, which counts the values.
local function values_of(array) return sub(pack(array), 2) end

-- Adds what a template needs before its first hold: the end of the reservation record, the record
-- of a buyer who had nothing, and the terms.
local function complete(template)
  local sale, items, amount, by_sku = template.sale, template.items, 0, {}
  for i = 1, #items, 2 do
    amount = amount + items[i + 1] * template.stocks[i][S.PRICE]
    by_sku[items[i]] = items[i + 1]
  end
  local held_until = Show.now + sale.holdMs
  template.terms = #terms + 1
  terms[template.terms] = { amount, sale.currency, Show.now, held_until }
  template.due = Show.int(held_until + Limits.confirmGraceMs)
  local first = Books.due_new_first
  if not first or held_until + Limits.confirmGraceMs < tonumber(first) then Books.due_new_first = template.due end
  template.record_end = values_of({ amount, sale.currency, Show.now, held_until, 0, '', 0 })
  -- Without the last byte, an empty string: each buyer's ids take its place.
  template.first_of_buyer = sub(pack({ [sale.id] = { template.units, by_sku, {}, '' } }), 1, -2)
end

local function begin_run(template)
  Ledger.end_run()
  if not template.terms then complete(template) end
  local before, items = {}, template.items
  for i = 1, #items, 2 do
    local stock = template.stocks[i]
    before[i] = { stock[AVAILABLE], stock[HELD], stock[SOLD], stock[WITHDRAWN] }
    Books.save_stock(template.sale.id, items[i])
  end
  local run = { template = template, before = before, records = {} }
  Ledger.run = run
  return run
end

local function add_to_buyer(user, template, id)
  local buyer = buyer_of(user)
  dirty_buyers[user] = true
  if not buyer then
    buyers[user] = template.first_of_buyer .. pack(' ' .. id)
    return
  end
  local entry, items = buyer_entry(user, template.sale.id), template.items
  local by_sku = entry[BY_SKU]
  for i = 1, #items, 2 do by_sku[items[i]] = (by_sku[items[i]] or 0) + items[i + 1] end
  entry[UNITS], entry[IDS] = entry[UNITS] + template.units, entry[IDS] .. ' ' .. id
end

-- Makes a hold; the caller has checked everything. `request`: the packed values up to the key.
local function hold(template, id, user, request)
  local run = Ledger.run
  if not run or run.template ~= template then run = begin_run(template) end
  local items, stocks = template.items, template.stocks
  for i = 1, #items, 2 do
    local stock, qty = stocks[i], items[i + 1]
    stock[AVAILABLE], stock[HELD] = stock[AVAILABLE] - qty, stock[HELD] + qty
  end
  local record, records, n = RECORD_HEAD .. request .. template.record_end, run.records, #due_new
  reservations[id] = record
  records[#records + 1] = record
  due_new[n + 1], due_new[n + 2] = template.due, id
  add_to_buyer(user, template, id)
end
Holds.hold = hold

local function count(outcome, items)
  counts = counts or {}
  local of = counts[outcome] or { 0, 0 }
  counts[outcome], of[1] = of, of[1] + 1
  for i = 2, #items, 2 do of[2] = of[2] + items[i] end
end
Holds.count = count

-- Adds what this call offered and ended to its reply, for the metrics of the caller: the status is
-- then 'ok+' and the last value {outcome, holds, units, ...}. The loader calls it.
function Holds.reported(reply)
  if not counts or reply[1] ~= 'ok' then return reply end
  local flat = {}
  for outcome, of in pairs(counts) do
    local n = #flat
    flat[n + 1], flat[n + 2], flat[n + 3] = outcome, of[1], of[2]
  end
  reply[1], reply[#reply + 1] = 'ok+', flat
  return reply
end

-- Makes a hold from the waitlist. No request waits for it, so its buyer is notified.
function Holds.offer(template, id, user, key)
  hold(template, id, user, values_of({ user, id, 'held', 1, template.sale.id, template.items, key }))
  count('offered', template.items)
  Books.mark_changed(id)
end

-- Ends a hold: confirmed moves its units to SOLD, released and expired move them to AVAILABLE.
function Holds.finish(r, state, kind, actor, key, reason, extra)
  local id, items, moved = r[R.ID], r[R.ITEMS], {}
  local to = state == 'confirmed' and SOLD or AVAILABLE
  for i = 1, #items, 2 do moved[#moved + 1] = Books.transfer(r[R.SALE], items[i], items[i + 1], HELD, to) end
  if to == AVAILABLE then Books.remove_from_buyer(r[R.USER], r[R.SALE], items, id) end
  r[R.STATE], r[R.ENDED] = state, Show.now
  count(state, items)
  Books.due_set[id] = nil
  Books.due_clear[#Books.due_clear + 1] = id
  Books.mark_changed(id)
  Ledger.append(kind, r[R.SALE], id, r[R.USER], actor, key, reason, moved, extra)
end

return Holds
