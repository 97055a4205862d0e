-- sale_commands: a host's command on one sale.
-- Exports SaleCommands.refused_skus, allocate, run.
-- @include show books ledger idempotency
local call = redis.call
local K = Show.keys
local SaleCommands = {}

-- Returns the SKUs of a product as a set.
local function skus_in(product, packed)
  local skus, record = {}, Show.read(K.products, product, packed)
  for _, each in ipairs(type(record.skus) == 'table' and record.skus or {}) do skus[each.sku] = true end
  return skus
end

-- `skus`: array of {sku, product}. Returns nil if each SKU belongs to its product, else a code and
-- details.
function SaleCommands.refused_skus(skus)
  local products, known = {}, {}
  for i = 1, #skus do products[i] = skus[i][2] end
  local found = call('HMGET', K.products, unpack(products))
  for i = 1, #products do
    local sku, product = skus[i][1], products[i]
    if not found[i] then return 'product_not_found', { product = product } end
    known[product] = known[product] or skus_in(product, found[i])
    if not known[product][sku] then return 'sku_not_in_product', { sku = sku, product = product } end
  end
  return nil
end

-- Gives a sale more SKUs: array of {sku, product, price, quantity, perBuyer or 0}.
function SaleCommands.allocate(sale, args, skus, reason, extra)
  local items = {}
  for i = 1, #skus do
    local sku, product, price, quantity, per_buyer = unpack(skus[i])
    sale.skus[#sale.skus + 1] = sku
    Books.stocks[Books.name_of(sale.id, sku)] = { quantity, quantity, 0, 0, 0, price, per_buyer, product }
    Books.save_stock(sale.id, sku)
    items[i] = { sku, quantity, 0, 0, 0, 0, quantity, 0, 0, 0 }
  end
  Ledger.append('alloc', sale.id, false, false, args.actor, args.key, reason, items, extra)
end

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
