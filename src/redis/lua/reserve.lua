#!lua
-- reserve: decides a batch of reservation requests of one show, in order; earlier ones count against later ones.
-- ARGV[2]: array of {reservation id, user, key, sale, lines}; lines: array of {sku, qty}, merged and sorted by SKU.
-- Returns {'ok', epoch, then two values a request}: '+' or '=' (repeated key) and the packed reservation, or a code
-- and its packed details. Ledger: hold, refuse. Publishes: new stock, the new holds; sale.opened/ended/sold_out where due.
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
  local seen = {}
  for i = 1, #lines do
    local sku, qty = lines[i][1], lines[i][2]
    if seen[sku] or qty < 1 then return 'invalid_request', { sku = sku } end
    seen[sku] = true
    if not stock_of(sale.id, sku) then return 'sku_not_found', { sku = sku } end
  end
  local code, details = over_limit(sale, lines, mine)
  if code then return code, details end
  for i = 1, #lines do
    local sku = lines[i][1]
    local left = stock_of(sale.id, sku)[AVAILABLE]
    if left < lines[i][2] then return 'sold_out', { sku = sku, left = left } end
    if promised(sale.id, sku) then return 'sold_out', { sku = sku, left = 0, promised = left } end
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
  if recovering then return 'sale_paused', { recovering = true } end
  local code, details = refusal(sale, lines, buyers[user] and buyers[user][sale_id])
  if code then return code, details end

  return '+', hold(sale, id, user, key, lines)
end

sweep(SWEEP_SLICE_MAX)
local ids, users = {}, {}
for i = 1, #args do ids[i], users[i] = args[i][1], args[i][2] end
fetch(K.reservations, reservations, ids)
fetch(K.buyers, buyers, users)

local reply = { 'ok', epoch }
local values = {}
for i = 1, #args do
  local request = args[i]
  local tag, value = decide(request)
  reply[1 + 2 * i], values[i] = tag, value
  if tag ~= '+' and tag ~= '=' then enter('refuse', request[4], request[1], request[2], 'user', request[3], tag, request[5], value) end
end
commit()
for i = 1, #args do reply[2 + 2 * i] = packed[values[i].id] or pack(values[i]) end
return reply
