-- refund: refunds an order, exactly once. Its units become available again or are withdrawn, and no
-- longer count for the limit of the buyer. Its order reference stays in use.
-- ARGV[2]: {id, key, actor, body, restock, reason (nil: none)}.
-- Returns {'ok', epoch, '+' or '=' (repeated key), packed reservation} or {'ok', epoch, code,
-- packed details}. The sale and the show may have ended: then no waitlist gets the units.
-- Ledger: refund, for the reason 'restocked' or 'withdrawn'. Publishes the reservation, and freed
-- units.
-- @include fields show books ledger holds idempotency limits
local call, find, gsub = redis.call, string.find, string.gsub
local K = Show.keys
local R, S, B = Fields.reservation, Fields.stock, Fields.buyer

-- Returns whether the record of the buyer has the order; not if the buyer was erased (erase.lua).
local function is_owned(r)
  local buyer = Books.buyer_of(r[R.USER])
  local entry = buyer and buyer[r[R.SALE]]
  return entry and find(entry[B.IDS] .. ' ', ' ' .. r[R.ID] .. ' ', 1, true) ~= nil
end

-- The order stays in the list of the buyer, if that is not long.
local function free_limit(r)
  Books.remove_from_buyer(r[R.USER], r[R.SALE], r[R.ITEMS], r[R.ID])
  local entry = Books.buyer_entry(r[R.USER], r[R.SALE])
  local _, others = gsub(entry[B.IDS], ' ', '')
  if others < Limits.refundsListedMax then entry[B.IDS] = entry[B.IDS] .. ' ' .. r[R.ID] end
end

local function refund(r, args)
  local id, sale_id, items, moved = r[R.ID], r[R.SALE], r[R.ITEMS], {}
  local to = args.restock and S.AVAILABLE or S.WITHDRAWN
  for i = 1, #items, 2 do moved[#moved + 1] = Books.transfer(sale_id, items[i], items[i + 1], S.SOLD, to) end
  if is_owned(r) then free_limit(r) end
  local more = r[R.MORE] or {}
  more.refundedAt, more.restocked, more.refundReason = Show.now, args.restock, args.reason
  r[R.STATE], r[R.MORE] = 'refunded', more
  Holds.count('refunded', items)
  Books.mark_changed(id)
  local how = args.restock and 'restocked' or 'withdrawn'
  Ledger.append('refund', sale_id, id, r[R.USER], args.actor, args.key, how, moved, { amount = r[R.AMOUNT] })
end

local function decide(args)
  local r = Books.reservation_of(args.id)
  if not r then return 'reservation_not_found', { reservation = args.id } end
  local state = r[R.STATE]
  if state == 'refunded' then
    return 'reservation_refunded', { state = state, refundedAt = (r[R.MORE] or {}).refundedAt, orderRef = r[R.ORDER] }
  end
  if state ~= 'confirmed' then return 'illegal_move', { state = state } end
  -- The order may still name a buyer who is being erased, and the ledger must not do so again.
  local erasing = tonumber(call('HGET', K.show, 'erasing') or '0')
  local is_erasing = Show.now - erasing < Limits.erasureMarkMs
  if is_erasing and not is_owned(r) then return 'overloaded', { erasing = true } end
  refund(r, args)
  return '+', r
end

return function(args)
  local _, tag, packed = Idempotency.run(args, args.actor, decide)
  return { 'ok', Show.epoch, tag, packed }
end
