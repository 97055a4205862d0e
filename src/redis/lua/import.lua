-- import: writes the records of an exported show. The show exists for no request until 'commit',
-- because its header has neither run id nor state; then it is complete. The newest import of a show
-- goes on, and what an earlier one wrote is deleted.
-- ARGV[2]: {op = 'begin', token} | {op = 'put', token, key, width, sizes} | {op = 'commit', token,
-- epoch, sizes} | {op = 'abort', token}. ARGV[3]: values back to back, with their sizes; of 'put'
-- records of one key, each of `width` values; of 'commit' fields and values of the header.
-- Returns {'ok', '+'} or {'ok', why not}: 'exists', 'stale' (another import took over) or
-- 'restarted' (another Redis process may have lost what was written before).
-- @include show access
-- @options no-show
local call, int, sub = redis.call, Show.int, string.sub
local K = Show.keys
local VALUES_MAX = 4000 -- even; Lua's unpack() takes some 8,000
local apply = {}

local function values_of(sizes, joined)
  local values, from = {}, 1
  for i = 1, #sizes do
    values[i] = sub(joined, from, from + sizes[i] - 1)
    from = from + sizes[i]
  end
  return values
end

local function put_hash(key, values) call('HSET', key, unpack(values)) end

local function put_set(key, values) call('ZADD', key, unpack(values)) end

local function put_stream(key, values, width)
  for i = 1, #values, width do call('XADD', key, unpack(values, i, i + width - 1)) end
end

local function put_text(key, values) call('SET', key, values[1]) end

local PUT = {
  products = put_hash, sales = put_hash, stock = put_hash, reservations = put_hash, buyers = put_hash,
  orders = put_hash, idem = put_hash, idem_old = put_hash,
  due = put_set, waitlist = put_set, removed = put_set, mutes = put_set,
  log = put_stream, ledger = put_stream, chat = put_stream, uniques = put_text,
}

local function unlink_all()
  for name, key in pairs(K) do
    if name ~= 'channel' then call('UNLINK', key) end
  end
end

local function touch() call('HSET', K.show, 'import_at', int(Show.now)) end

function apply.begin(args)
  Access.all()
  unlink_all()
  call('HSET', K.show, 'import', args.token, 'import_run', Show.run_id)
  touch()
end

function apply.put(args, values)
  Access.all()
  PUT[args.key](K[args.key], values, args.width)
  touch()
end

function apply.commit(args, values)
  Access.all()
  call('UNLINK', K.show)
  call('HSET', K.show, 'run', Show.run_id, 'epoch', args.epoch, 'origin', args.epoch)
  for i = 1, #values, VALUES_MAX do
    call('HSET', K.show, unpack(values, i, math.min(i + VALUES_MAX - 1, #values)))
  end
  if call('HGET', K.show, 'state') == 'archived' then call('HDEL', K.show, 'run') end
end

function apply.abort()
  Access.all()
  unlink_all()
end

return function(args, argv)
  local state, token, import_run, format = unpack(call('HMGET', K.show, 'state', 'import', 'import_run', 'format'))
  local newer = Show.check_format(format)
  if newer then return newer end
  if state then return { 'ok', args.op == 'begin' and 'exists' or 'stale' } end
  if args.op ~= 'begin' then
    if token ~= args.token then return { 'ok', 'stale' } end
    if import_run ~= Show.run_id and args.op ~= 'abort' then return { 'ok', 'restarted' } end
  end
  apply[args.op](args, args.sizes and values_of(args.sizes, argv[3]))
  return { 'ok', '+' }
end
