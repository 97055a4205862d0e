-- waitlist: joins or leaves the line for a sold-out SKU.
-- ARGV[2]: {op = 'join' | 'leave', sale, sku, qty, user, key, body, id = reservation id of the
-- offer to come}.
-- Returns {'ok', next due, '+' or '=', packed {place, waiting = people in line}} or {'ok', next
-- due, code, packed details}.
-- Ledger: join, leave.

local field = command_field('user:' .. args.user, args.key)

local function join(sale, mine)
  if sale.state ~= 'open' and sale.state ~= 'paused' then return 'sale_' .. (sale.state == 'draft' and 'not_open' or sale.state == 'scheduled' and 'not_open' or sale.state), { opensAt = sale.opensAt, now = now } end
  -- The key made an offer once, longer ago than keys are remembered.
  if reservation_of(args.id) then return 'idempotency_conflict', { reservation = args.id } end
  if mine and mine[B_WAITS][args.sku] then return 'already_waiting', { place = call('ZLEXCOUNT', K.waitlist, line_from(args.sale, args.sku), '[' .. mine[B_WAITS][args.sku][1]) } end
  local kind, wrong, why = kind_of(sale, { args.sku, args.qty })
  if not kind then return wrong, why end
  local code, details = over_limit(kind, mine)
  if code then return code, details end
  local left = kind.books[1][AVAILABLE]
  if left >= args.qty and not promised(kind.names[1]) then return 'units_free', { sku = args.sku, left = left } end
  local waiting = in_line(args.sale, args.sku)
  if waiting >= WAITLIST_MAX then return 'limit_reached', { what = 'people in line', limit = WAITLIST_MAX } end
  local order = call('HINCRBY', K.show, 'joined', 1)
  local member = args.sale .. '/' .. args.sku .. '/' .. string.format('%016.0f', order) .. '/' .. args.user
  call('ZADD', K.waitlist, 0, member)
  standing(args.user, args.sale)[B_WAITS][args.sku] = { member, args.qty, args.id, now, args.key }
  enter('join', args.sale, args.id, args.user, 'user', args.key, '', { kind.lines })
  return '+', { place = waiting + 1, waiting = waiting + 1 }
end

local function leave(mine)
  if not mine or not mine[B_WAITS][args.sku] then return 'not_waiting', { sku = args.sku } end
  step_out(args.sale, args.sku, args.user, 'user', args.key, 'asked')
  return '+', { place = 0, waiting = in_line(args.sale, args.sku) }
end

local function decide()
  local recorded = recall(field, args.body)
  if recorded == 'conflict' then return 'idempotency_conflict', { key = args.key } end
  if recorded then return '=', unpack_record(recorded) end
  local sale = sale_at_now(args.sale)
  if not sale then return 'sale_not_found', { sale = args.sale } end
  if not stock_of(args.sale, args.sku) then return 'sku_not_found', { sku = args.sku } end
  local buyer = buyer_of(args.user)
  local mine = buyer and buyer[args.sale]
  if args.op == 'leave' then return leave(mine) end
  return join(sale, mine)
end

sweep(SWEEP_SLICE_MAX)
local tag, value = decide()
local packed = pack(value)
local next_due = commit()
if tag == '+' then remember(field, args.body, packed, IDEMPOTENCY_TTL_MS) end
return { 'ok', next_due, tag, packed }
