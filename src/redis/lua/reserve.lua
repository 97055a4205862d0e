#!lua
-- reserve: decides a batch of reservation requests of one show, in order; earlier ones count against later ones.
-- ARGV[2]: array of {reservation id, user, key, sale, lines}; lines: array of {sku, qty}, merged and sorted by SKU.
-- Returns {'ok', next due, then two values a request}: '+' or '=' (repeated key) and the packed reservation, or a code
-- and its packed details. Ledger: hold, refuse. Publishes: new stock, the new holds; sale.opened/ended/sold_out where due.
-- @include show books clockwork commit

local function same_lines(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i][1] ~= b[i][1] or a[i][2] ~= b[i][2] then return false end
  end
  return true
end

local CLOSED = { draft = 'sale_not_open', scheduled = 'sale_not_open', paused = 'sale_paused', ended = 'sale_ended', cancelled = 'sale_cancelled' }

-- Answers nil when the request may have its units, otherwise a code, details and the numbers it rested on. Limits are judged before stock:
-- one eager clicker must not make others see "sold out".
local function refusal(user, sale, lines, mine)
  local units, seen = 0, {}
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    if seen[sku] or qty < 1 then return 'invalid_request', { sku = sku } end
    seen[sku] = true
    local books = stock_of(sale.id, sku)
    if not books then return 'sku_not_found', { sku = sku } end
    units = units + qty
    local have = mine and mine.k[sku] or 0
    if books[7] > 0 and have + qty > books[7] then return 'limit_exceeded', { sku = sku, limit = books[7], have = have } end
  end
  local have = mine and mine.n or 0
  if have + units > sale.perBuyer then return 'limit_exceeded', { limit = sale.perBuyer, have = have } end
  for i = 1, #lines do
    local left = stock_of(sale.id, lines[i][1])[AVAILABLE]
    if left < lines[i][2] then return 'sold_out', { sku = lines[i][1], left = left } end
  end
  return nil
end

local function decide(request)
  local id, user, key, sale_id, lines = request[1], request[2], request[3], request[4], request[5]
  local r = reservations[id]
  if r then
    if r.user ~= user or r.sale ~= sale_id or not same_lines(r.lines, lines) then return 'idempotency_conflict', { reservation = id } end
    return '=', r
  end
  local sale = sale_at_now(sale_id)
  if not sale then return 'sale_not_found', { sale = sale_id } end
  if sale.state ~= 'open' then return CLOSED[sale.state], { opensAt = sale.opensAt, closesAt = sale.closesAt, now = now } end
  local code, details = refusal(user, sale, lines, buyers[user] and buyers[user][sale_id])
  if code then return code, details end

  local moved, amount = {}, 0
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    amount = amount + qty * stock_of(sale_id, sku)[6]
    moved[i] = move_units(sale_id, sku, qty, AVAILABLE, HELD)
  end
  r = {
    id = id, sale = sale_id, user = user, state = 'held', lines = lines, amount = amount, currency = sale.currency,
    createdAt = now, heldUntil = now + sale.holdMs, key = key,
  }
  reservations[id] = r
  give(user, sale_id, lines, id)
  due_set['r:' .. id] = r.heldUntil + CONFIRM_GRACE_MS
  note_change(id)
  enter('hold', sale_id, id, user, 'user', key, '', moved)
  return '+', r
end

sweep(SWEEP_SLICE_MAX)
local ids, users = {}, {}
for i = 1, #args do ids[i], users[i] = args[i][1], args[i][2] end
fetch(K.reservations, reservations, ids)
fetch(K.buyers, buyers, users)

local reply = { 'ok', '' }
for i = 1, #args do
  local request = args[i]
  local tag, value = decide(request)
  if tag ~= '+' and tag ~= '=' then enter('refuse', request[4], request[1], request[2], 'user', request[3], tag, request[5], value) end
  reply[1 + 2 * i], reply[2 + 2 * i] = tag, pack(value)
end
reply[2] = commit()
return reply
