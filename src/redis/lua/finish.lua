-- finish: confirms or releases one hold, exactly once, or extends it; notes something of an order.
-- ARGV[2]: {op = 'confirm' | 'release' | 'extend', id, key, actor, body, user (nil: any), orderRef,
-- amount, byMs, holdMaxMs} | {op = 'note', id, note, tracking, fulfillment} (nil: as it is, '':
-- none).
-- Returns {'ok', epoch, '+' or '=' (repeated key), packed reservation} or {'ok', epoch, code,
-- packed details}. A confirm wins against the deadline until the hold is swept: after deadline +
-- grace.
-- Ledger: confirm, release, 'prolong'. Publishes the reservation, and freed units. A note is
-- neither in the ledger nor published: it moves no unit, and viewers do not see it.
-- @include fields show books ledger holds sales idempotency limits access
local call, pack = redis.call, cmsgpack.pack
local K, R = Show.keys, Fields.reservation
local ENDED = {
  confirmed = 'reservation_confirmed', released = 'reservation_released', expired = 'reservation_expired',
  refunded = 'reservation_refunded',
}

-- Extends only on success and never past the longest hold, so that no buyer keeps units from others
-- without end.
local function extend(r, args)
  local latest = r[R.CREATED] + args.holdMaxMs
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

local function note(r, args)
  if r[R.STATE] ~= 'confirmed' and r[R.STATE] ~= 'refunded' then return 'illegal_move', { state = r[R.STATE] } end
  local more = r[R.MORE] or {}
  for _, name in ipairs({ 'note', 'tracking', 'fulfillment' }) do
    if args[name] then more[name] = args[name] ~= '' and args[name] or nil end
  end
  r[R.MORE] = next(more) and more or nil
  args.noted = r
  Access.all()
  return '+', r
end

-- Returns the id of another reservation with this order reference, or nil. Those that release 0.1.0
-- has confirmed are not known.
local function taken_by(args)
  local other = call('HGET', K.orders, args.orderRef)
  return other and other ~= args.id and other or nil
end

local function decide(args)
  local r = Books.reservation_of(args.id)
  if not r or (args.user and r[R.USER] ~= args.user) then return 'reservation_not_found', { reservation = args.id } end
  if args.op == 'note' then return note(r, args) end
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
  local other = taken_by(args)
  if other then return 'order_ref_taken', { reservation = other, orderRef = args.orderRef } end
  r[R.ORDER], args.confirmed = args.orderRef, r
  Holds.finish(r, 'confirmed', 'confirm', args.actor, args.key, args.orderRef, { amount = args.amount })
  return '+', r
end

-- Writes what the commit does not. Returns the reservation.
local function written(args)
  if args.noted then call('HSET', K.reservations, args.id, pack(args.noted)) end
  if args.confirmed then call('HSET', K.orders, args.orderRef, args.id) end
  return args.noted or args.confirmed
end

return function(args)
  local has_more = args.op == 'confirm' or args.op == 'note'
  local _, tag, packed = Idempotency.run(args, args.actor, decide, has_more and written)
  return { 'ok', Show.epoch, tag, packed }
end
