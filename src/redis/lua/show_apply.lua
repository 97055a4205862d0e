-- show_apply: a change of the show or its products, prepared by the caller from version `ver` of
-- the show, with its events.
-- ARGV[2]: {ver = expected version or nil, view = true or nil, state or nil, put = product id or
-- nil, remove = product id or nil, events = array of types, key, actor and body where a repeat with
-- the key is to be told the recorded offset}. ARGV[3]: packed show record; ARGV[4]: packed product;
-- ARGV[5...]: packed event data. Returns {'ok', offset}, {'ok', recorded offset, '='} or {'ok',
-- 'stale' | code}.

local field = args.key and command_field(args.actor, args.key)
local recorded = field and recall(field, args.body)
if recorded == 'conflict' then return { 'ok', 'idempotency_conflict' } end
if recorded then return { 'ok', recorded, '=' } end

local function refusal()
  if args.ver and tonumber(call('HGET', K.show, 'ver')) ~= args.ver then return 'stale' end
  if args.put and call('HEXISTS', K.products, args.put) == 0 and call('HLEN', K.products) >= PRODUCTS_PER_SHOW_MAX then return 'limit_reached' end
  if args.remove and call('HEXISTS', K.products, args.remove) == 0 then return 'product_not_found' end
  return nil
end

local code = refusal()
if code then return { 'ok', code } end
for i = 1, #args.events do
  offset = offset + 1
  events[i] = { offset, pack(offset) .. pack(now) .. pack(args.events[i]) .. ARGV[4 + i] }
end
call('HINCRBY', K.show, 'ver', 1)
if args.view then call('HSET', K.show, 'view', ARGV[3]) end
if args.state then call('HSET', K.show, 'state', args.state) end
if args.put then call('HSET', K.products, args.put, ARGV[4]) end
if args.remove then call('HDEL', K.products, args.remove) end
commit()
if field then remember(field, args.body, int(offset), IDEMPOTENCY_TTL_MS) end
return { 'ok', int(offset) }
