-- repair: brings drifted books back to what the ledger says, by a compensating ledger entry, if
-- nothing has moved since the ledger was read.
-- ARGV[2]: {last ledger id read, actor, array of {sale, sku, available, held, sold, withdrawn,
-- allocated by the ledger}}.
-- Returns {'ok', next due, number repaired} or {'ok', next due, -1} when the ledger went on
-- meanwhile.

local last = call('XREVRANGE', K.ledger, '+', '-', 'COUNT', 1)
if (last[1] and last[1][1] or '') ~= args[1] then return { 'ok', '', -1 } end
local repaired = 0
for i = 1, #args[3] do
  local sale_id, sku = args[3][i][1], args[3][i][2]
  local books = stock_of(sale_id, sku)
  if books and sale_of(sale_id) then
    local line = { sku, 0, books[2], books[3], books[4], books[5], args[3][i][3], args[3][i][4], args[3][i][5], args[3][i][6] }
    books[2], books[3], books[4], books[5], books[1] = line[7], line[8], line[9], line[10], args[3][i][7]
    dirty_stock[sale_id .. '/' .. sku] = books
    touch(sale_id, sku)
    units_came_free(sale_id, sku)
    enter('adjust', sale_id, false, false, args[2], '', 'drift', { line })
    repaired = repaired + 1
  end
end
return { 'ok', commit(), repaired }
