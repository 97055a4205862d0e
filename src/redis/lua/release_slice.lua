-- release_slice: releases those of the given reservations that are still held in a cancelled sale.
-- Repeating it does nothing.
-- ARGV[2]: {sale, ids = array of reservation ids (a bounded slice), actor}. Returns {'ok', next
-- due, number released}.

local released = 0
local sale = sale_of(args.sale)
if sale and sale.state == 'cancelled' then
  fetch(K.reservations, reservations, args.ids)
  for i = 1, #args.ids do
    local r = reservation_of(args.ids[i])
    if r and r[R_SALE] == args.sale and r[R_STATE] == 'held' then
      end_hold(r, 'released', AVAILABLE, 'release', args.actor, '', 'sale_cancelled')
      released = released + 1
    end
  end
end
return { 'ok', commit(), released }
