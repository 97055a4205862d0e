-- reserve: decides a batch of reservation requests of one show, in order; earlier ones count
-- against later ones.
-- ARGV[2]: {origin (books.lua), {bytes of each request}}. ARGV[3]: the requests one behind the
-- other, each {user, reservation id, 'held', 0, sale, lines, key}: the fields a reservation record
-- begins with (books.lua), which they become as they are. Lines are merged and sorted by SKU.
-- Returns {'ok', epoch, packed answers}: {terms, then two values a request}. '+' and which of the
-- terms {amount, currency, created at, held until} the new hold has, '=' (repeated key) and the
-- whole record, or a code and its details.
-- Ledger: hold, refuse. Publishes: new stock, the new holds; sale.opened/ended/sold_out where due.

local function same_lines(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local CLOSED = { draft = 'sale_not_open', scheduled = 'sale_not_open', paused = 'sale_paused', ended = 'sale_ended', cancelled = 'sale_cancelled' }

-- Limits are judged before stock: one eager clicker must not make others see "sold out".
local function refusal(kind, mine)
  local code, details = over_limit(kind, mine)
  if code then return code, details end
  local lines = kind.lines
  for i = 1, #lines, 2 do
    local left = kind.books[i][AVAILABLE]
    if left < lines[i + 1] then return 'sold_out', { sku = lines[i], left = left } end
    if promised(kind.names[i]) then return 'sold_out', { sku = lines[i], left = 0, promised = left } end
  end
  return nil
end

local function decide(request, asked)
  local user, id, sale_id, lines = request[R_USER], request[R_ID], request[R_SALE], request[R_LINES]
  -- A buyer's record stays as long as the show: who has none made no reservation under any key,
  -- which are most people of a rush.
  local buyer = buyer_of(user)
  local r = buyer and reservation_of(id)
  if r then
    if r[R_USER] ~= user or r[R_SALE] ~= sale_id or not same_lines(r[R_LINES], lines) then return 'idempotency_conflict', { reservation = id } end
    return '=', r
  end
  local sale = sale_at_now(sale_id)
  if not sale then return 'sale_not_found', { sale = sale_id } end
  if sale.state ~= 'open' then return CLOSED[sale.state], { opensAt = sale.opensAt, closesAt = sale.closesAt, now = now } end
  if recovering then return 'sale_paused', { recovering = true } end
  local kind, code, details = kind_of(sale, lines)
  if not kind then return code, details end
  code, details = refusal(kind, buyer and buyer[sale_id])
  if code then return code, details end
  hold(kind, id, user, asked)
  made[#made + 1] = id
  return '+', kind.terms
end

-- Ledger lines of what was asked for: {sku, qty} each.
local function wanted(lines)
  local pairs_of = {}
  for i = 1, #lines, 2 do pairs_of[#pairs_of + 1] = { lines[i], lines[i + 1] } end
  return pairs_of
end

local requests = { unpack_record(ARGV[3]) }
origin = args[1]
sweep(SWEEP_SLICE_MAX)
local users, ids = {}, {}
for i = 1, #requests do users[i] = requests[i][R_USER] end
fetch(K.buyers, buyers, users)
for i = 1, #requests do
  if buyers[users[i]] then ids[#ids + 1] = requests[i][R_ID] end
end
fetch(K.reservations, reservations, ids)

local answers, sizes, from = { terms }, args[2], 1
for i = 1, #requests do
  local request, to = requests[i], from + sizes[i]
  -- Without the byte that says how many fields a request has.
  local tag, value = decide(request, string.sub(ARGV[3], from + 1, to - 1))
  from = to
  answers[2 * i], answers[2 * i + 1] = tag, value
  if tag ~= '+' and tag ~= '=' then
    enter('refuse', request[R_SALE], request[R_ID], request[R_USER], 'user', request[R_KEY], tag, wanted(request[R_LINES]), value)
  end
end
-- Before the commit, which may change a record that an answer shows: two requests of a batch may
-- name the same key.
local packed = pack(answers)
commit()
return { 'ok', epoch, packed }
