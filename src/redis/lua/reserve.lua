-- reserve: decides a batch of reserve requests of one show, in order; each counts against the later
-- ones.
-- ARGV[2]: {origin: the room that asks, {bytes of each request}}. ARGV[3]: the requests back to
-- back, each {user, reservation id, 'held', 0, sale, items, key}: the first fields of a reservation
-- record (lib/fields.lua), which they become unchanged. Items are merged and sorted by SKU.
-- Returns {'ok', epoch, packed results}: {terms, then two values for each request}: '+' and the
-- index of its terms {amount, currency, created at, held until}; '=' (repeated key) and the record;
-- or a code and details.
-- Ledger: hold, gate. Publishes new stock and the new holds. Events: sale.opened, ended,
-- sold_out.
-- @include fields show books holds waitlist sales due refusals commit
local pack, sub = cmsgpack.pack, string.sub
local R = Fields.reservation
local USER, ID, SALE, ITEMS, AVAILABLE = R.USER, R.ID, R.SALE, R.ITEMS, Fields.stock.AVAILABLE
local K, fetch, buyer_of, reservation_of = Show.keys, Books.fetch, Books.buyer_of, Books.reservation_of
local template_of, over_limit, hold = Holds.template_of, Holds.over_limit, Holds.hold
local current_sale, has_priority, add_refusal = Sales.current, Waitlist.has_priority, Refusals.add
local CLOSED = {
  draft = 'sale_not_open', scheduled = 'sale_not_open', paused = 'sale_paused', ended = 'sale_ended',
  cancelled = 'sale_cancelled',
}

local function has_same_items(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- Checks limits before stock: a buyer who already has enough must not see "sold out".
local function refusal_of(template, entry)
  local code, details = over_limit(template, entry)
  if code then return code, details end
  local items = template.items
  for i = 1, #items, 2 do
    local left = template.stocks[i][AVAILABLE]
    if left < items[i + 1] then return 'sold_out', { sku = items[i], left = left } end
    if has_priority(template.names[i]) then return 'sold_out', { sku = items[i], left = 0, promised = left } end
  end
  return nil
end

local function decide(request, bytes)
  local user, id, sale_id, items = request[USER], request[ID], request[SALE], request[ITEMS]
  -- A buyer's record stays as long as the show, unless the user was erased. Most buyers of a rush
  -- have none, so they have no reservation under any key.
  local buyer = buyer_of(user)
  local r = (buyer or Show.has_erased) and reservation_of(id)
  if r then
    if r[USER] ~= user or r[SALE] ~= sale_id or not has_same_items(r[ITEMS], items) then
      return 'idempotency_conflict', { reservation = id }
    end
    return '=', r
  end
  local sale = current_sale(sale_id)
  if not sale then return 'sale_not_found', { sale = sale_id } end
  if sale.state ~= 'open' then
    return CLOSED[sale.state], { opensAt = sale.opensAt, closesAt = sale.closesAt, now = Show.now }
  end
  if Show.recovering then return 'sale_paused', { recovering = true } end
  local template, code, details = template_of(sale, items)
  if not template then return code, details end
  code, details = refusal_of(template, buyer and buyer[sale_id])
  if code then return code, details end
  hold(template, id, user, bytes)
  local made = Books.made
  made[#made + 1] = id
  return '+', template.terms
end

local function fetch_buyers(requests)
  local users, ids = {}, {}
  for i = 1, #requests do users[i] = requests[i][USER] end
  fetch(K.buyers, Books.buyers, users)
  for i = 1, #requests do
    if Books.buyers[users[i]] or Show.has_erased then ids[#ids + 1] = requests[i][ID] end
  end
  fetch(K.reservations, Books.reservations, ids)
end

return function(args, argv)
  local requests, packed_requests = { cmsgpack.unpack(argv[3]) }, argv[3]
  Books.origin = args[1]
  Due.sweep()
  fetch_buyers(requests)
  local results, sizes, from = { Holds.terms }, args[2], 1
  for i = 1, #requests do
    local request, to = requests[i], from + sizes[i]
    -- Without the first byte, which counts the fields of a request.
    local tag, value = decide(request, sub(packed_requests, from + 1, to - 1))
    from = to
    results[2 * i], results[2 * i + 1] = tag, value
    if tag ~= '+' and tag ~= '=' then add_refusal(request, sizes[i], tag, value) end
  end
  -- Packed before the commit, which may change a record in it: two requests may have the same key.
  local packed = pack(results)
  Refusals.append()
  Commit.write()
  Refusals.save_budget()
  return { 'ok', Show.epoch, packed }
end
