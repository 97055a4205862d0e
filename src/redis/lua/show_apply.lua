-- show_apply: applies a change of the show or its products with its events. The caller prepared it
-- from version `ver` of the show.
-- ARGV[2]: {ver = expected version or nil, view = true or nil, state or nil, put = product id or
-- nil, remove = product id or nil, announced = true if the first event is the current announcement,
-- events = array of types; key, actor and body if a repeated key returns the recorded offset}.
-- ARGV[3]: packed show record. ARGV[4]: packed product. ARGV[5...]: packed event data.
-- Returns {'ok', offset}, {'ok', recorded offset, '='} or {'ok', 'stale' | code}.
-- @include show access events commit idempotency limits
local call = redis.call
local K = Show.keys

local function refusal_of(args)
  if args.ver and tonumber(call('HGET', K.show, 'ver')) ~= args.ver then return 'stale' end
  local is_new = args.put and call('HEXISTS', K.products, args.put) == 0
  if is_new and call('HLEN', K.products) >= Limits.productsPerShowMax then return 'limit_reached' end
  if args.remove and call('HEXISTS', K.products, args.remove) == 0 then return 'product_not_found' end
  return nil
end

return function(args, argv)
  local field = args.key and Idempotency.field_of(args.actor, args.key)
  local recorded = field and Idempotency.recall(field, args.body)
  if recorded == 'conflict' then return { 'ok', 'idempotency_conflict' } end
  if recorded then return { 'ok', recorded, '=' } end
  local code = refusal_of(args)
  if code then return { 'ok', code } end
  Access.all()
  local is_rotating = field and Idempotency.rotates()
  for i, kind in ipairs(args.events) do Events.append(kind, argv[4 + i]) end
  call('HINCRBY', K.show, 'ver', 1)
  if args.view then call('HSET', K.show, 'view', argv[3]) end
  if args.state then call('HSET', K.show, 'state', args.state) end
  if args.state == 'ended' and Show.state ~= 'ended' then call('HSET', K.show, 'ended', Show.int(Show.now)) end
  if args.put then call('HSET', K.products, args.put, argv[4]) end
  if args.announced then call('HSET', K.show, 'announced', argv[5], 'announced_at', Show.int(Show.now)) end
  if args.remove then call('HDEL', K.products, args.remove) end
  Commit.write()
  local offset = Show.int(Show.offset)
  if field then Idempotency.remember(field, args.body, offset, is_rotating) end
  return { 'ok', offset }
end
