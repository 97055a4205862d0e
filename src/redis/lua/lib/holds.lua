-- A hold from its making to its one end: limits, stock, the buyer's record, deadline and ledger
-- move together.

-- A kind of hold: what all requests for the same lines of one sale have in common within a call.
-- Worked out once, because a rush is many buyers of few things.
local kinds -- sale/sku -> qty -> kind
local terms -- {amount, currency, created at, held until} of each kind that was held
each_call(function() kinds, terms = {}, {} end)

local function new_kind(sale, lines)
  local kind = { sale = sale, lines = lines, names = {}, books = {}, units = 0 }
  for i = 1, #lines, 2 do
    local sku, qty = lines[i], lines[i + 1]
    -- Sorted by SKU: the same one twice would stand side by side.
    if qty < 1 or (i > 1 and lines[i - 2] == sku) then return nil, 'invalid_request', { sku = sku } end
    kind.names[i], kind.books[i] = name_of(sale.id, sku), stock_of(sale.id, sku)
    if not kind.books[i] then return nil, 'sku_not_found', { sku = sku } end
    kind.units = kind.units + qty
  end
  return kind
end

-- The kind of these lines (sorted by SKU), or nil, the code of what is wrong with them and its
-- details.
local function kind_of(sale, lines)
  if #lines ~= 2 then return new_kind(sale, lines) end
  local name, qty = name_of(sale.id, lines[1]), lines[2]
  local of = kinds[name]
  if not of then
    of = {}
    kinds[name] = of
  end
  if of[qty] then return of[qty] end
  local kind, code, details = new_kind(sale, lines)
  of[qty] = kind
  return kind, code, details
end

-- Answers nil when the buyer may have these lines on top of what they hold and own, otherwise the
-- code and its numbers.
local function over_limit(kind, mine)
  local lines, most_in_all = kind.lines, kind.sale.perBuyer
  for i = 1, #lines, 2 do
    local most, have = kind.books[i][7], mine and mine[B_BY_SKU][lines[i]] or 0
    if most > 0 and have + lines[i + 1] > most then return 'limit_exceeded', { sku = lines[i], limit = most, have = have } end
  end
  local have = mine and mine[B_UNITS] or 0
  if have + kind.units > most_in_all then return 'limit_exceeded', { limit = most_in_all, have = have } end
  return nil
end

local RECORD_HEAD = '\158' -- MessagePack: an array of R_FIRST values
-- Without its first byte, which says how many values there are.
local function values_of(array) return string.sub(pack(array), 2) end

-- What holds of a kind share: the end of their record, that of a buyer who had nothing before, and
-- the terms an answer shows.
local function prepare(kind)
  local sale, lines, amount, by_sku = kind.sale, kind.lines, 0, {}
  for i = 1, #lines, 2 do
    amount = amount + lines[i + 1] * kind.books[i][6]
    by_sku[lines[i]] = lines[i + 1]
  end
  local lapses = now + sale.holdMs
  kind.terms = #terms + 1
  terms[kind.terms] = { amount, sale.currency, now, lapses }
  kind.due = int(lapses + CONFIRM_GRACE_MS)
  kind.record_end = values_of({ amount, sale.currency, now, lapses, 0, '', 0 })
  -- The last value is theirs alone: without the byte of an empty text.
  kind.first_of_buyer = string.sub(pack({ [sale.id] = { kind.units, by_sku, {}, '' } }), 1, -2)
end

local function begin_run(kind)
  end_run()
  if not kind.terms then prepare(kind) end
  local before = {}
  for i = 1, #kind.lines, 2 do
    local books = kind.books[i]
    before[i] = { books[2], books[3], books[4], books[5] }
    dirty_stock[kind.names[i]] = books
    touch(kind.sale.id, kind.lines[i])
  end
  run = { kind = kind, before = before, records = {} }
end

local function give(user, kind, id)
  local buyer = buyer_of(user)
  dirty_buyers[user] = true
  if not buyer then
    buyers[user] = kind.first_of_buyer .. pack(' ' .. id)
    return
  end
  local mine, lines = standing(user, kind.sale.id), kind.lines
  local by_sku = mine[B_BY_SKU]
  for i = 1, #lines, 2 do by_sku[lines[i]] = (by_sku[lines[i]] or 0) + lines[i + 1] end
  mine[B_UNITS], mine[B_IDS] = mine[B_UNITS] + kind.units, mine[B_IDS] .. ' ' .. id
end

-- Makes a hold; the caller has checked everything. `asked`: the packed values of the request.
local function hold(kind, id, user, asked)
  if not run or run.kind ~= kind then begin_run(kind) end
  local lines = kind.lines
  for i = 1, #lines, 2 do
    local books, qty = kind.books[i], lines[i + 1]
    books[AVAILABLE], books[HELD] = books[AVAILABLE] - qty, books[HELD] + qty
  end
  local record, records, n = RECORD_HEAD .. asked .. kind.record_end, run.records, #due_new
  reservations[id] = record
  records[#records + 1] = record
  due_new[n + 1], due_new[n + 2] = kind.due, id
  give(user, kind, id)
end

-- A hold that comes from the waitlist: nobody waits for its answer.
local function offer(kind, id, user, key)
  hold(kind, id, user, values_of({ user, id, 'held', 1, kind.sale.id, kind.lines, key }))
  note_change(id)
end

-- Ends a hold once: `to` is SOLD (confirmed) or AVAILABLE (released, expired).
local function end_hold(r, state, to, kind, actor, key, reason, extra)
  local id, lines, moved = r[R_ID], r[R_LINES], {}
  for i = 1, #lines, 2 do moved[#moved + 1] = move_units(r[R_SALE], lines[i], lines[i + 1], HELD, to) end
  if to == AVAILABLE then take_back(r[R_USER], r[R_SALE], lines, id) end
  r[R_STATE], r[R_ENDED] = state, now
  due_set[id] = nil
  due_clear[#due_clear + 1] = id
  note_change(id)
  enter(kind, r[R_SALE], id, r[R_USER], actor, key, reason, moved, extra)
end
