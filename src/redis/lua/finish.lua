#!lua
-- finish: confirms or releases one hold, exactly once, or gives it more time.
-- ARGV[2]: {op = 'confirm' | 'release' | 'prolong', id, key, actor, body, user (may be nil: anybody's), orderRef, amount, byMs}.
-- Returns {'ok', epoch, '+' or '=' (repeated key), packed reservation} or {'ok', epoch, code, packed details}.
-- A confirm wins against the deadline until the hold has lapsed: deadline + grace, or the sweep after it.
-- @include show books holds waitlist_names waitlist clockwork commit

local field = pack({ 'finish', args.actor, args.key })
local ENDED = { confirmed = 'reservation_confirmed', released = 'reservation_released', expired = 'reservation_expired' }

-- More time only on success, and never past the longest hold: a failed try must not keep units from others.
local function prolong(r)
  local longest = r.createdAt + HOLD_MAX_MS
  if r.heldUntil + args.byMs > longest then return 'limit_reached', { what = 'hold time', heldUntilMax = longest, heldUntil = r.heldUntil } end
  r.firstUntil = r.firstUntil or r.heldUntil
  r.heldUntil = r.heldUntil + args.byMs
  due_set['r:' .. r.id] = r.heldUntil + CONFIRM_GRACE_MS
  note_change(r.id)
  enter('prolong', r.sale, r.id, r.user, args.actor, args.key, 'asked', false, { heldUntil = r.heldUntil })
  return '+', r
end

local function decide()
  local recorded = recall(field, args.body)
  if recorded == 'conflict' then return 'idempotency_conflict', { key = args.key } end
  if recorded then return '=', unpack_record(recorded) end
  local r = reservation_of(args.id)
  if not r or (args.user and r.user ~= args.user) then return 'reservation_not_found', { reservation = args.id } end
  if r.state ~= 'held' then return ENDED[r.state], { state = r.state, endedAt = r.endedAt, orderRef = r.orderRef } end
  if args.op == 'release' then
    end_hold(r, 'released', AVAILABLE, 'release', args.actor, args.key, 'asked')
    return '+', r
  end
  local sale = sale_at_now(r.sale)
  if sale.state == 'cancelled' then return 'sale_cancelled', { sale = r.sale } end
  if args.op == 'prolong' then return prolong(r) end
  if args.amount ~= r.amount then return 'amount_mismatch', { amount = r.amount, currency = r.currency } end
  r.orderRef = args.orderRef
  end_hold(r, 'confirmed', SOLD, 'confirm', args.actor, args.key, args.orderRef, { amount = args.amount })
  return '+', r
end

sweep(SWEEP_SLICE_MAX)
local tag, value = decide()
local packed = pack(value)
commit()
if tag == '+' then remember(field, args.body, packed, IDEMPOTENCY_TTL_MS) end
return { 'ok', epoch, tag, packed }
