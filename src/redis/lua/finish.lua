-- finish: confirms or releases one hold, exactly once, or gives it more time.
-- ARGV[2]: {op = 'confirm' | 'release' | 'prolong', id, key, actor, body, user (may be nil:
-- anybody's), orderRef, amount, byMs}.
-- Returns {'ok', epoch, '+' or '=' (repeated key), packed reservation} or {'ok', epoch, code,
-- packed details}. A confirm wins against the deadline until the hold has lapsed: deadline + grace,
-- or the sweep after it.

local field = command_field(args.actor, args.key)
local ENDED = { confirmed = 'reservation_confirmed', released = 'reservation_released', expired = 'reservation_expired' }

-- More time only on success, and never past the longest hold: a failed try must not keep units from
-- others.
local function prolong(r)
  local longest = r[R_CREATED] + HOLD_MAX_MS
  if r[R_UNTIL] + args.byMs > longest then return 'limit_reached', { what = 'hold time', heldUntilMax = longest, heldUntil = r[R_UNTIL] } end
  if r[R_FIRST] == 0 then r[R_FIRST] = r[R_UNTIL] end
  r[R_UNTIL] = r[R_UNTIL] + args.byMs
  due_set[r[R_ID]] = r[R_UNTIL] + CONFIRM_GRACE_MS
  note_change(r[R_ID])
  enter('prolong', r[R_SALE], r[R_ID], r[R_USER], args.actor, args.key, 'asked', false, { heldUntil = r[R_UNTIL] })
  return '+', r
end

local function decide()
  local recorded = recall(field, args.body)
  if recorded == 'conflict' then return 'idempotency_conflict', { key = args.key } end
  if recorded then return '=', unpack_record(recorded) end
  local r = reservation_of(args.id)
  if not r or (args.user and r[R_USER] ~= args.user) then return 'reservation_not_found', { reservation = args.id } end
  if r[R_STATE] ~= 'held' then return ENDED[r[R_STATE]], { state = r[R_STATE], endedAt = r[R_ENDED], orderRef = r[R_ORDER] ~= '' and r[R_ORDER] or nil } end
  if args.op == 'release' then
    end_hold(r, 'released', AVAILABLE, 'release', args.actor, args.key, 'asked')
    return '+', r
  end
  local sale = sale_at_now(r[R_SALE])
  if sale.state == 'cancelled' then return 'sale_cancelled', { sale = r[R_SALE] } end
  if args.op == 'prolong' then return prolong(r) end
  if args.amount ~= r[R_AMOUNT] then return 'amount_mismatch', { amount = r[R_AMOUNT], currency = r[R_CURRENCY] } end
  r[R_ORDER] = args.orderRef
  end_hold(r, 'confirmed', SOLD, 'confirm', args.actor, args.key, args.orderRef, { amount = args.amount })
  return '+', r
end

sweep(SWEEP_SLICE_MAX)
local tag, value = decide()
local packed = pack(value)
commit()
if tag == '+' then remember(field, args.body, packed, IDEMPOTENCY_TTL_MS) end
return { 'ok', epoch, tag, packed }
