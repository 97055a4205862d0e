-- sale_create: plans a sale and allocates its units.
-- ARGV[2]: {id, title, currency, perBuyer, holdMs, opensAt | opensInMs, closesAt | durationMs, key,
-- actor, body, skus = array of {sku, product, price, quantity, perBuyer or 0}}.
-- Returns {'ok', next due, '+' or '=', packed {sale, stock, rev}} or {'ok', next due, code, packed
-- details}.
-- Ledger: alloc. Events: sale.created; sale.opened if its moment has come.
-- @include show books sales sale_commands limits
local call = redis.call
local K = Show.keys

local function refusal_of(args, opens_at, closes_at)
  if Show.state == 'ended' then return 'show_ended', {} end
  if Books.sale_of(args.id) then return 'already_exists', { sale = args.id } end
  local limit = Limits.salesPerShowMax
  if call('HLEN', K.sales) >= limit then return 'limit_reached', { limit = limit, what = 'sales' } end
  local wrong = Sales.check_window(opens_at, closes_at)
  if wrong then return 'invalid_request', wrong end
  return SaleCommands.refused_skus(args.skus)
end

local function create(args)
  local now = Show.now
  local opens_at = args.opensAt or (args.opensInMs and now + args.opensInMs)
  local closes_at = args.closesAt or (args.durationMs and opens_at and opens_at + args.durationMs)
  local code, details = refusal_of(args, opens_at, closes_at)
  if code then return code, details end

  local sale = {
    id = args.id, title = args.title, state = opens_at and 'scheduled' or 'draft', opensAt = opens_at,
    closesAt = closes_at, durationMs = args.durationMs, holdMs = args.holdMs, perBuyer = args.perBuyer,
    currency = args.currency, createdAt = now, skus = {},
  }
  Books.sales[args.id] = sale
  if opens_at then Books.due_set['o:' .. args.id] = opens_at end
  Sales.live_delta = 1
  local extra = { perBuyer = args.perBuyer, holdMs = args.holdMs, state = sale.state, skus = args.skus }
  SaleCommands.allocate(sale, args, args.skus, 'created', extra)
  Sales.announce(sale, 'sale.created')
  Sales.current(args.id)
  return '+'
end

return function(args) return SaleCommands.run(args, create) end
