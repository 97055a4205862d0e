-- repair: sets drifted stock records to what the ledger says, with a compensating ledger entry, if
-- the ledger has no newer entry.
-- ARGV[2]: {last ledger id read, actor, array of {sale, sku, available, held, sold, withdrawn,
-- allocated by the ledger}}.
-- Returns {'ok', next due, number repaired}, or -1 if the ledger has newer entries. Ledger: adjust.
-- @include fields show books ledger commit
local call = redis.call
local K, S = Show.keys, Fields.stock

local function repair(sale_id, sku, stock, by_ledger, actor)
  local item = { sku, 0, stock[S.AVAILABLE], stock[S.HELD], stock[S.SOLD], stock[S.WITHDRAWN], unpack(by_ledger, 3, 6) }
  stock[S.AVAILABLE], stock[S.HELD], stock[S.SOLD], stock[S.WITHDRAWN], stock[S.ALLOCATED] = unpack(by_ledger, 3, 7)
  Books.save_stock(sale_id, sku)
  Books.units_freed(sale_id, sku)
  Ledger.append('adjust', sale_id, false, false, actor, '', 'drift', { item })
end

return function(args)
  local last = call('XREVRANGE', K.ledger, '+', '-', 'COUNT', 1)
  if (last[1] and last[1][1] or '') ~= args[1] then return { 'ok', '', -1 } end
  local repaired = 0
  for _, by_ledger in ipairs(args[3]) do
    local sale_id, sku = by_ledger[1], by_ledger[2]
    local stock = Books.stock_of(sale_id, sku)
    if stock and Books.sale_of(sale_id) then
      repair(sale_id, sku, stock, by_ledger, args[2])
      repaired = repaired + 1
    end
  end
  return { 'ok', Commit.write(), repaired }
end
