-- release_slice: releases the given reservations of a cancelled sale that are still held. Repeating
-- it changes nothing.
-- ARGV[2]: {sale, ids = array of reservation ids (a bounded slice), actor}.
-- Returns {'ok', next due, number released}. Ledger: release.
-- @include fields show books holds commit
local SALE, STATE = Fields.reservation.SALE, Fields.reservation.STATE

return function(args)
  local released, sale = 0, Books.sale_of(args.sale)
  if sale and sale.state == 'cancelled' then
    Books.fetch(Show.keys.reservations, Books.reservations, args.ids)
    for _, id in ipairs(args.ids) do
      local r = Books.reservation_of(id)
      if r and r[SALE] == args.sale and r[STATE] == 'held' then
        Holds.finish(r, 'released', 'release', args.actor, '', 'sale_cancelled')
        released = released + 1
      end
    end
  end
  return { 'ok', Commit.write(), released }
end
