-- audit: reads the books and the ledger position that they belong to, in one step.
-- ARGV[2]: {} for all sales, {sale id} for one.
-- Returns {'ok', last ledger id ('' = empty), {stock field, stock...}, {sale...}, rev}.
-- @include show
-- @options no-writes
local call = redis.call
local K = Show.keys

local function books_of(id)
  local record = call('HGET', K.sales, id)
  if not record then return {}, {} end
  local fields, flat = {}, {}
  for i, sku in ipairs(Show.read(K.sales, id, record).skus) do fields[i] = id .. '/' .. sku end
  local stock = call('HMGET', K.stock, unpack(fields))
  for i = 1, #fields do flat[2 * i - 1], flat[2 * i] = fields[i], stock[i] end
  return flat, { record }
end

return function(args)
  local last = call('XREVRANGE', K.ledger, '+', '-', 'COUNT', 1)
  local stock, sales
  if args[1] then
    stock, sales = books_of(args[1])
  else
    stock, sales = call('HGETALL', K.stock), call('HVALS', K.sales)
  end
  return { 'ok', last[1] and last[1][1] or '', stock, sales, Show.int(Show.rev) }
end
