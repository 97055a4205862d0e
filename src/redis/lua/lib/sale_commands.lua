-- sale_commands: a host's command on one sale.
-- Exports SaleCommands.run.
-- @include show books idempotency
local SaleCommands = {}

local function books_of(args)
  local sale, stocks = Books.sale_of(args.id), {}
  for i = 1, #sale.skus do stocks[i] = Books.readable_stock(args.id, sale.skus[i]) or false end
  return { sale, stocks, Show.rev }
end

-- Returns the reply {'ok', next due, '+' or '=', packed {sale, stock, rev}}, or a code and packed
-- details.
function SaleCommands.run(args, decide)
  local next_due, tag, packed = Idempotency.run(args, args.actor, decide, books_of)
  return { 'ok', next_due, tag, packed }
end

return SaleCommands
