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
  local lapses = now + sale.holdMs
  local r = { user, id, 'held', offer and 1 or 0, sale.id, lines, amount, sale.currency, now, lapses, key, 0, '', 0 }
  reservations[id] = r
  give(user, sale.id, lines, id)
  due_set['r:' .. id] = lapses + CONFIRM_GRACE_MS
  note_change(id)
  enter('hold', sale.id, id, user, offer and 'waitlist' or 'user', key, offer and 'offer' or '', moved)
  return r
end

-- Ends a hold once: `to` is SOLD (confirmed) or AVAILABLE (released, expired).
local function end_hold(r, state, to, kind, actor, key, reason, extra)
  local lines = {}
  for i = 1, #r[R_LINES] do lines[i] = move_units(r[R_SALE], r[R_LINES][i][1], r[R_LINES][i][2], HELD, to) end
  if to == AVAILABLE then take_back(r[R_USER], r[R_SALE], r[R_LINES], r[R_ID]) end
  r[R_STATE], r[R_ENDED] = state, now
  due_set['r:' .. r[R_ID]] = nil
  due_clear[#due_clear + 1] = 'r:' .. r[R_ID]
  note_change(r[R_ID])
  enter(kind, r[R_SALE], r[R_ID], r[R_USER], actor, key, reason, lines, extra)
end
