-- show_apply: applies a change of the show or its products with its events. The caller prepared it
-- from version `ver` of the show.
-- ARGV[2]: {ver = expected version as stored or nil, view = true or nil, state or nil, put =
-- product id or nil, remove, pin = id of a product that exists or nil, announced = true if the
-- first event is the current announcement, ends = its end or nil, withdraws = offset that the
-- current announcement must have or nil, events = array of types; key, actor and body if a
-- repeated key returns the recorded offset}.
-- ARGV[3]: packed show record. ARGV[4]: packed product. ARGV[5...]: packed event data.
-- Returns {'ok', offset}, {'ok', recorded offset, '='}, {'ok', 'stale' | code} or {'ok',
-- 'product_in_use', sale, sku}.
-- @include fields show access books events commit idempotency limits
local call, find, unpack_record = redis.call, string.find, cmsgpack.unpack
local K = Show.keys

-- Returns the next version. One that cannot be read must not stop changes.
local function next_ver(ver) return Show.int((#ver < 16 and tonumber(find(ver, '^%d+$') and ver) or 0) + 1) end

local function is_over(sale)
  if sale.state == 'ended' or sale.state == 'cancelled' then return true end
  return sale.state ~= 'draft' and sale.closesAt and sale.closesAt <= Show.now
end

-- Returns the id of a sale that is not over and a SKU of the product that it sells, or nil. `kept`:
-- SKUs to ignore.
local function sold_of(product, kept)
  for _, sale in ipairs(Books.readable_sales()) do
    for i = 1, is_over(sale) and 0 or #sale.skus do
      local sku = sale.skus[i]
      if Books.stock_of(sale.id, sku)[Fields.stock.PRODUCT] == product and not kept[sku] then return sale.id, sku end
    end
  end
  return nil
end

-- The same for a product that replaces another. A sale is looked for only if a SKU is dropped, or
-- the product before cannot be read.
local function sold_before(product, record, before)
  local kept, is_read, known = {}, Show.try(Show.read, K.products, product, before)
  for _, each in ipairs(unpack_record(record).skus) do kept[each.sku] = true end
  local is_whole = is_read and type(known.skus) == 'table'
  for _, each in ipairs(is_whole and known.skus or {}) do is_whole = is_whole and kept[each.sku] end
  if not is_whole then return sold_of(product, kept) end
  return nil
end

local function refusal_of(args, ver, record)
  if args.ver and ver ~= args.ver then return 'stale' end
  if args.ends and args.ends <= Show.now then return 'invalid_request' end
  if args.withdraws and call('HGET', K.show, 'announced_id') ~= args.withdraws then return 'not_found' end
  local before = args.put and call('HGET', K.products, args.put)
  if args.put and not before and call('HLEN', K.products) >= Limits.productsPerShowMax then return 'limit_reached' end
  local known = args.remove or args.pin
  if known and call('HEXISTS', K.products, known) == 0 then return 'product_not_found' end
  local sale, sku
  if args.remove then sale, sku = sold_of(args.remove, {}) end
  if before then sale, sku = sold_before(args.put, record, before) end
  if sale then return 'product_in_use', sale, sku end
  return nil
end

return function(args, argv)
  local field = args.key and Idempotency.field_of(args.actor, args.key)
  local recorded = field and Idempotency.recall(field, args.body)
  if recorded == 'conflict' then return { 'ok', 'idempotency_conflict' } end
  if recorded then return { 'ok', recorded, '=' } end
  local ver = call('HGET', K.show, 'ver') or ''
  local code, sale, sku = refusal_of(args, ver, argv[4])
  if code then return { 'ok', code, sale, sku } end
  Access.all()
  local is_rotating = field and Idempotency.rotates()
  for i, kind in ipairs(args.events) do Events.append(kind, argv[4 + i]) end
  call('HSET', K.show, 'ver', next_ver(ver))
  if args.view then call('HSET', K.show, 'view', argv[3]) end
  if args.state then call('HSET', K.show, 'state', args.state) end
  if args.state == 'ended' and Show.state ~= 'ended' then call('HSET', K.show, 'ended', Show.int(Show.now)) end
  if args.put then call('HSET', K.products, args.put, argv[4]) end
  if args.announced then
    call('HSET', K.show, 'announced', argv[5], 'announced_at', Show.int(Show.now),
      'announced_id', Show.int(Show.offset))
  end
  if args.remove then call('HDEL', K.products, args.remove) end
  Commit.write()
  local offset = Show.int(Show.offset)
  if field then Idempotency.remember(field, args.body, offset, is_rotating) end
  return { 'ok', offset }
end
