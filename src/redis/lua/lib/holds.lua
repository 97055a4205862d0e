-- A hold from its making to its one end: limits, stock, the buyer's record, deadline and ledger move together.

-- Answers nil when the buyer may have these lines on top of what they hold and own, otherwise the code and its numbers.
local function over_limit(sale, lines, mine)
  local units = 0
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    local most, have = stock_of(sale.id, sku)[7], mine and mine.k[sku] or 0
    units = units + qty
    if most > 0 and have + qty > most then return 'limit_exceeded', { sku = sku, limit = most, have = have } end
  end
  local have = mine and mine.n or 0
  if have + units > sale.perBuyer then return 'limit_exceeded', { limit = sale.perBuyer, have = have } end
  return nil
end

-- Makes a hold; the caller has checked everything. `offer`: it comes from the waitlist.
local function hold(sale, id, user, key, lines, offer)
  local moved, amount = {}, 0
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    amount = amount + qty * stock_of(sale.id, sku)[6]
    moved[i] = move_units(sale.id, sku, qty, AVAILABLE, HELD)
  end
  local r = {
    id = id, sale = sale.id, user = user, state = 'held', lines = lines, amount = amount, currency = sale.currency,
    createdAt = now, heldUntil = now + sale.holdMs, key = key, offer = offer,
  }
  reservations[id] = r
  give(user, sale.id, lines, id)
  due_set['r:' .. id] = r.heldUntil + CONFIRM_GRACE_MS
  note_change(id)
  enter('hold', sale.id, id, user, offer and 'waitlist' or 'user', key, offer and 'offer' or '', moved)
  return r
end

-- Ends a hold once: `to` is SOLD (confirmed) or AVAILABLE (released, expired).
local function end_hold(r, state, to, kind, actor, key, reason, extra)
  local lines = {}
  for i = 1, #r.lines do lines[i] = move_units(r.sale, r.lines[i][1], r.lines[i][2], HELD, to) end
  if to == AVAILABLE then take_back(r.user, r.sale, r.lines, r.id) end
  r.state, r.endedAt = state, now
  due_set['r:' .. r.id] = nil
  due_clear[#due_clear + 1] = 'r:' .. r.id
  note_change(r.id)
  enter(kind, r.sale, r.id, r.user, actor, key, reason, lines, extra)
end
