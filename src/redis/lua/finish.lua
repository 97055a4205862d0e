-- finish: confirms or releases one hold, exactly once, or extends it.
-- ARGV[2]: {op = 'confirm' | 'release' | 'extend', id, key, actor, body, user (nil: any), orderRef,
-- amount, byMs}.
-- Returns {'ok', epoch, '+' or '=' (repeated key), packed reservation} or {'ok', epoch, code,
-- packed details}. A confirm wins against the deadline until the hold is swept: after deadline +
-- grace.
-- Ledger: confirm, release, 'prolong'. Publishes the reservation, and freed units.
-- @include fields show books ledger holds sales idempotency limits
local R = Fields.reservation
local ENDED = {
  confirmed = 'reservation_confirmed', released = 'reservation_released', expired = 'reservation_expired',
}

-- Extends only on success and never past the longest hold, so that no buyer keeps units from others
-- without end.
local function extend(r, args)
  local latest = r[R.CREATED] + Limits.holdMaxMs
  if r[R.UNTIL] + args.byMs > latest then
    return 'limit_reached', { what = 'hold time', heldUntilMax = latest, heldUntil = r[R.UNTIL] }
  end
  if r[R.FIRST_UNTIL] == 0 then r[R.FIRST_UNTIL] = r[R.UNTIL] end
  r[R.UNTIL] = r[R.UNTIL] + args.byMs
  Books.due_set[r[R.ID]] = r[R.UNTIL] + Limits.confirmGraceMs
  Books.mark_changed(r[R.ID])
  local extra = { heldUntil = r[R.UNTIL] }
  Ledger.append('prolong', r[R.SALE], r[R.ID], r[R.USER], args.actor, args.key, 'asked', false, extra)
  return '+', r
end

local function decide(args)
  local r = Books.reservation_of(args.id)
  if not r or (args.user and r[R.USER] ~= args.user) then return 'reservation_not_found', { reservation = args.id } end
  if r[R.STATE] ~= 'held' then
    local order = r[R.ORDER] ~= '' and r[R.ORDER] or nil
    return ENDED[r[R.STATE]], { state = r[R.STATE], endedAt = r[R.ENDED], orderRef = order }
  end
  if args.op == 'release' then
    Holds.finish(r, 'released', 'release', args.actor, args.key, 'asked')
    return '+', r
  end
  local sale = Sales.current(r[R.SALE])
  if sale.state == 'cancelled' then return 'sale_cancelled', { sale = r[R.SALE] } end
  if args.op == 'extend' then return extend(r, args) end
  if args.amount ~= r[R.AMOUNT] then return 'amount_mismatch', { amount = r[R.AMOUNT], currency = r[R.CURRENCY] } end
  r[R.ORDER] = args.orderRef
  Holds.finish(r, 'confirmed', 'confirm', args.actor, args.key, args.orderRef, { amount = args.amount })
  return '+', r
end

return function(args)
  local _, tag, packed = Idempotency.run(args, args.actor, decide)
  return { 'ok', Show.epoch, tag, packed }
end
