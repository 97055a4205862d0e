#!lua
-- reserve: decides a batch of reservation requests of one show, in order; earlier ones count against later ones.
-- ARGV[2]: array of {reservation id, user, key, sale, lines}; lines: array of {sku, qty}, merged and sorted by SKU.
-- Returns {'ok', epoch, packed answers}, two values a request: '+' and {amount, currency, created at, held until} of the new hold, '=' (repeated key)
-- and the whole record, or a code and its details. Ledger: hold, refuse. Publishes: new stock, the new holds; sale.opened/ended/sold_out where due.
-- @include show books holds waitlist_names waitlist clockwork commit

local function same_lines(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i][1] ~= b[i][1] or a[i][2] ~= b[i][2] then return false end
  end
  return true
end

local CLOSED = { draft = 'sale_not_open', scheduled = 'sale_not_open', paused = 'sale_paused', ended = 'sale_ended', cancelled = 'sale_cancelled' }

-- Limits are judged before stock: one eager clicker must not make others see "sold out".
local function refusal(sale, lines, mine)
  local id = sale.id
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    -- Sorted by SKU: the same one twice would stand side by side.
    if qty < 1 or (i > 1 and lines[i - 1][1] == sku) then return 'invalid_request', { sku = sku } end
    if not stock_of(id, sku) then return 'sku_not_found', { sku = sku } end
  end
  local code, details = over_limit(sale, lines, mine)
  if code then return code, details end
  for i = 1, #lines do
    local sku = lines[i][1]
    local left = stock_of(id, sku)[AVAILABLE]
    if left < lines[i][2] then return 'sold_out', { sku = sku, left = left } end
    if promised(id, sku) then return 'sold_out', { sku = sku, left = 0, promised = left } end
  end
  return nil
end

local function decide(request)
  local id, user, key, sale_id, lines = request[1], request[2], request[3], request[4], request[5]
  local r = reservations[id]
  if r then
    if r[R_USER] ~= user or r[R_SALE] ~= sale_id or not same_lines(r[R_LINES], lines) then return 'idempotency_conflict', { reservation = id } end
    return '=', r
  end
  local sale = sale_at_now(sale_id)
  if not sale then return 'sale_not_found', { sale = sale_id } end
  if sale.state ~= 'open' then return CLOSED[sale.state], { opensAt = sale.opensAt, closesAt = sale.closesAt, now = now } end
  if recovering then return 'sale_paused', { recovering = true } end
  local code, details = refusal(sale, lines, buyers[user] and buyers[user][sale_id])
  if code then return code, details end

  return '+', hold(sale, id, user, key, lines)
end

sweep(SWEEP_SLICE_MAX)
local ids, users, n = {}, {}, 0
for i = 1, #args do users[i] = args[i][2] end
fetch(K.buyers, buyers, users)
-- A buyer's record stays as long as the show: who has none made no reservation under any key, which are most people of a rush.
for i = 1, #args do
  if buyers[args[i][2]] then
    n = n + 1
    ids[n] = args[i][1]
  end
end
fetch(K.reservations, reservations, ids)

local answers = {}
for i = 1, #args do
  local request = args[i]
  local tag, value = decide(request)
  answers[2 * i - 1], answers[2 * i] = tag, value or {}
  if tag == '+' then
    answers[2 * i] = { value[R_AMOUNT], value[R_CURRENCY], value[R_CREATED], value[R_UNTIL] }
  elseif tag ~= '=' then
    enter('refuse', request[4], request[1], request[2], 'user', request[3], tag, request[5], value)
  end
end
-- Before the commit, which may change a record that an answer shows: two requests of a batch may name the same key.
local packed = pack(answers)
commit()
return { 'ok', epoch, packed }
