-- sale_create: plans a sale and allocates its units.
-- ARGV[2]: {id, title, currency, perBuyer, holdMs, opensAt | opensInMs, closesAt | durationMs, key,
-- actor, body, skus = array of {sku, product, price, quantity, perBuyer or 0}}.
-- Returns {'ok', next due, '+' or '=', packed {sale, stock}} or {'ok', next due, code, packed
-- details}.
-- Ledger: alloc. Events: sale.created, sale.opened when its moment has come already.

local field = command_field(args.actor, args.key)

local function refusal(opens_at, closes_at)
  if show_state == 'ended' then return 'show_ended', {} end
  if sale_of(args.id) then return 'already_exists', { sale = args.id } end
  if call('HLEN', K.sales) >= SALES_PER_SHOW_MAX then return 'limit_reached', { limit = SALES_PER_SHOW_MAX, what = 'sales' } end
  local wrong = wrong_window(opens_at, closes_at)
  if wrong then return 'invalid_request', wrong end
  local products = {}
  for i = 1, #args.skus do products[i] = args.skus[i][2] end
  local found = call('HMGET', K.products, unpack(products))
  for i = 1, #products do
    if not found[i] then return 'product_not_found', { product = products[i] } end
  end
  return nil
end

local function create()
  local recorded = recall(field, args.body)
  if recorded == 'conflict' then return 'idempotency_conflict', pack({ key = args.key }) end
  if recorded then return '=', recorded end
  local opens_at = args.opensAt or (args.opensInMs and now + args.opensInMs)
  local closes_at = args.closesAt or (args.durationMs and opens_at and opens_at + args.durationMs)
  local code, details = refusal(opens_at, closes_at)
  if code then return code, pack(details) end

  local sale = {
    id = args.id, title = args.title, state = opens_at and 'scheduled' or 'draft', opensAt = opens_at, closesAt = closes_at,
    durationMs = args.durationMs, holdMs = args.holdMs, perBuyer = args.perBuyer, currency = args.currency, createdAt = now, skus = {},
  }
  sales[args.id] = sale
  local lines = {}
  for i = 1, #args.skus do
    local sku, product, price, quantity, per_buyer = unpack(args.skus[i])
    sale.skus[i] = sku
    local name = args.id .. '/' .. sku
    stock[name] = { quantity, quantity, 0, 0, 0, price, per_buyer, product }
    dirty_stock[name] = stock[name]
    touch(args.id, sku)
    lines[i] = { sku, quantity, 0, 0, 0, 0, quantity, 0, 0, 0 }
  end
  if opens_at then due_set['o:' .. args.id] = opens_at end
  live_delta = 1
  enter('alloc', args.id, false, false, args.actor, args.key, 'created', lines, { perBuyer = args.perBuyer, holdMs = args.holdMs, state = sale.state, skus = args.skus })
  announce_sale(sale, 'sale.created')
  sale_at_now(args.id)
  return '+', nil
end

sweep(SWEEP_SLICE_MAX)
local tag, packed = create()
local next_due = commit()
if tag == '+' then
  local books = {}
  for i = 1, #sales[args.id].skus do books[i] = stock_of(args.id, sales[args.id].skus[i]) end
  packed = pack({ sales[args.id], books, rev })
  remember(field, args.body, packed, IDEMPOTENCY_TTL_MS)
end
return { 'ok', next_due, tag, packed }
