-- sale_move: a host's move of a sale. The state machine is drawn in src/README.md; what it does not
-- draw is an illegal_move.
-- ARGV[2]: {id, op, key, actor, body, opensAt, opensInMs, closesAt, durationMs, byMs, sku, delta}.
-- Returns {'ok', next due, '+' or '=', packed {sale, stock, rev}} or {'ok', next due, code, packed
-- details}.
-- Ledger: sale (state changes), alloc, withdraw. Events:
-- sale.scheduled/opened/paused/resumed/extended/ended/cancelled/stocked.

local field = command_field(args.actor, args.key)
local FROM = {
  schedule = { draft = true, scheduled = true },
  open = { draft = true, scheduled = true },
  pause = { open = true },
  resume = { paused = true },
  extend = { open = true, paused = true, scheduled = true },
  ['end'] = { draft = true, scheduled = true, open = true, paused = true },
  cancel = { draft = true, scheduled = true, open = true, paused = true },
  units = { draft = true, scheduled = true, open = true, paused = true },
}

-- Moves that make or keep a sale sellable: not in a show that has ended.
local OPENS = { schedule = true, open = true, resume = true, extend = true }

local function set_state(sale, state, kind)
  sale.state = state
  enter('sale', sale.id, false, false, args.actor, args.key, state)
  announce_sale(sale, kind)
end

local move = {}

function move.schedule(sale)
  local opens_at = args.opensAt or (args.opensInMs and now + args.opensInMs)
  local duration = args.durationMs or (not args.closesAt and sale.durationMs or nil)
  local closes_at = args.closesAt or (duration and opens_at + duration) or sale.closesAt
  local wrong = wrong_window(opens_at, closes_at)
  if wrong then return 'invalid_request', wrong end
  sale.opensAt, sale.closesAt, sale.durationMs = opens_at, closes_at, duration
  due_set['o:' .. sale.id] = opens_at
  set_state(sale, 'scheduled', 'sale.scheduled')
  sale_at_now(sale.id)
end

function move.open(sale)
  -- A window planned by duration starts when it opens; an absolute end stays.
  local duration = args.durationMs or sale.durationMs
  local closes_at = not duration and sale.closesAt or nil
  local wrong = wrong_window(now, closes_at)
  if wrong then return 'invalid_request', wrong end
  sale.opensAt, sale.durationMs, sale.closesAt = now, duration, closes_at
  open_sale(sale, args.actor, args.key)
end

function move.pause(sale) set_state(sale, 'paused', 'sale.paused') end

function move.resume(sale)
  set_state(sale, 'open', 'sale.resumed')
  -- Units that came back during the pause go to the line first.
  for i = 1, #sale.skus do units_came_free(sale.id, sale.skus[i]) end
end

function move.extend(sale)
  if not sale.closesAt then return 'illegal_move', { state = sale.state, why = 'the sale has no closing time' } end
  local longest = (sale.opensAt or now) + SALE_DURATION_MAX_MS
  if sale.closesAt + args.byMs > longest then return 'invalid_request', { field = 'byMs', latestClosesAt = longest } end
  sale.closesAt = sale.closesAt + args.byMs
  if sale.durationMs then sale.durationMs = sale.durationMs + args.byMs end
  if sale.state ~= 'scheduled' then due_set['c:' .. sale.id] = sale.closesAt end
  enter('sale', sale.id, false, false, args.actor, args.key, 'extended', false, { closesAt = sale.closesAt })
  announce_sale(sale, 'sale.extended')
end

move['end'] = function(sale) end_sale(sale, 'ended', args.actor, args.key) end

function move.cancel(sale) end_sale(sale, 'cancelled', args.actor, args.key) end

function move.units(sale)
  local books = stock_of(sale.id, args.sku)
  if not books then return 'sku_not_found', { sku = args.sku } end
  if args.delta < 0 then
    if books[AVAILABLE] < -args.delta then return 'insufficient_units', { sku = args.sku, left = books[AVAILABLE] } end
    local line = move_units(sale.id, args.sku, -args.delta, AVAILABLE, WITHDRAWN)
    enter('withdraw', sale.id, false, false, args.actor, args.key, 'asked', { line })
  else
    if books[1] + args.delta > UNITS_PER_SKU_MAX then return 'limit_reached', { what = 'units of the SKU', limit = UNITS_PER_SKU_MAX } end
    local line = { args.sku, args.delta, books[2], books[3], books[4], books[5], books[2] + args.delta, books[3], books[4], books[5] }
    books[1], books[AVAILABLE] = books[1] + args.delta, books[AVAILABLE] + args.delta
    dirty_stock[sale.id .. '/' .. args.sku] = books
    enter('alloc', sale.id, false, false, args.actor, args.key, 'added', { line })
    if books[AVAILABLE] > 0 then sale.soldOut = nil end
    units_came_free(sale.id, args.sku)
  end
  touch(sale.id, args.sku)
  announce_sale(sale, 'sale.stocked')
end

local function decide()
  local recorded = recall(field, args.body)
  if recorded == 'conflict' then return 'idempotency_conflict', pack({ key = args.key }) end
  if recorded then return '=', recorded end
  local sale = sale_at_now(args.id)
  if not sale then return 'sale_not_found', pack({ sale = args.id }) end
  if show_state == 'ended' and OPENS[args.op] then return 'show_ended', pack({}) end
  if not FROM[args.op][sale.state] then return 'illegal_move', pack({ state = sale.state, op = args.op }) end
  local code, details = move[args.op](sale)
  if code then return code, pack(details) end
  return '+', nil
end

sweep(SWEEP_SLICE_MAX)
local tag, packed = decide()
local next_due = commit()
if tag == '+' then
  local books = {}
  for i = 1, #sales[args.id].skus do books[i] = stock_of(args.id, sales[args.id].skus[i]) end
  packed = pack({ sales[args.id], books, rev })
  remember(field, args.body, packed, IDEMPOTENCY_TTL_MS)
end
return { 'ok', next_due, tag, packed }
