-- waitlist: joins or leaves the waitlist of a sold-out SKU.
-- ARGV[2]: {op = 'join' | 'leave', sale, sku, qty, user, key, body, id = reservation id of a later
-- offer}.
-- Returns {'ok', next due, '+' or '=', packed {place = position, waiting = entries}} or {'ok', next
-- due, code, packed details}.
-- Ledger: join, leave.
-- @include fields show access books ledger holds waitlist waitlist_range sales idempotency limits
local call = redis.call
local K = Show.keys
local WAITS, AVAILABLE = Fields.buyer.WAITS, Fields.stock.AVAILABLE
local CLOSED = {
  draft = 'sale_not_open', scheduled = 'sale_not_open', ended = 'sale_ended', cancelled = 'sale_cancelled',
}

local function refusal_of(args, sale, entry)
  if CLOSED[sale.state] then return CLOSED[sale.state], { opensAt = sale.opensAt, now = Show.now } end
  -- The key made an offer, longer ago than results are recorded.
  if Books.reservation_of(args.id) then return 'idempotency_conflict', { reservation = args.id } end
  local wait = entry and entry[WAITS][args.sku]
  if wait then
    local first = WaitlistRange.first(args.sale, args.sku)
    return 'already_waiting', { place = call('ZLEXCOUNT', K.waitlist, first, '[' .. wait[1]) }
  end
  local template, wrong, details = Holds.template_of(sale, { args.sku, args.qty })
  if not template then return wrong, details end
  local code, limits = Holds.over_limit(template, entry)
  if code then return code, limits end
  local left = template.stocks[1][AVAILABLE]
  if left >= args.qty and not Waitlist.has_priority(template.names[1]) then
    return 'units_free', { sku = args.sku, left = left }
  end
  return nil
end

local function join(args, sale, entry)
  local code, details = refusal_of(args, sale, entry)
  if code then return code, details end
  local waiting, limit = Waitlist.size(args.sale, args.sku), Limits.waitlistPerSkuMax
  if waiting >= limit then return 'limit_reached', { what = 'people in line', limit = limit } end
  Access.all()
  Ledger.must_be_stream()
  local order = string.format('%016.0f', call('HINCRBY', K.show, 'joined', 1))
  local member = WaitlistRange.name(args.sale, args.sku) .. '/' .. order .. '/' .. args.user
  call('ZADD', K.waitlist, 0, member)
  Books.buyer_entry(args.user, args.sale)[WAITS][args.sku] = { member, args.qty, args.id, Show.now, args.key }
  Ledger.append('join', args.sale, args.id, args.user, 'user', args.key, '', { { args.sku, args.qty } })
  return '+', { place = waiting + 1, waiting = waiting + 1 }
end

local function leave(args, entry)
  if not entry or not entry[WAITS][args.sku] then return 'not_waiting', { sku = args.sku } end
  Waitlist.leave(args.sale, args.sku, args.user, 'user', args.key, 'asked')
  return '+', { place = 0, waiting = Waitlist.size(args.sale, args.sku) }
end

local function decide(args)
  local sale = Sales.current(args.sale)
  if not sale then return 'sale_not_found', { sale = args.sale } end
  if not Books.stock_of(args.sale, args.sku) then return 'sku_not_found', { sku = args.sku } end
  local buyer = Books.buyer_of(args.user)
  local entry = buyer and buyer[args.sale]
  if args.op == 'leave' then return leave(args, entry) end
  return join(args, sale, entry)
end

return function(args)
  local next_due, tag, packed = Idempotency.run(args, 'user:' .. args.user, decide)
  return { 'ok', next_due, tag, packed }
end
