-- import: writes the records of an exported show. The show exists for no request until 'commit',
-- because its header has no run id; then it is complete. The newest import of a show goes on, and
-- what an earlier one wrote is deleted.
-- ARGV[2]: {op = 'begin', token} | {op = 'put', token, key, width} | {op = 'commit', token, epoch}
-- | {op = 'abort', token}. ARGV[3...] of 'put': records of one key, each of `width` values; of
-- 'commit': fields and values of the header.
-- Returns {'ok', '+'} or {'ok', why not}: 'exists', 'stale' (another import took over) or
-- 'restarted' (another Redis process may have lost what was written before).
-- @include show access
-- @options no-show
local call, int = redis.call, Show.int
local K = Show.keys
local VALUES_AT = 3
local VALUES_MAX = 4000 -- even; Lua's unpack() takes some 8,000
local apply = {}

local function put_hash(key, argv) call('HSET', key, unpack(argv, VALUES_AT)) end

local function put_set(key, argv) call('ZADD', key, unpack(argv, VALUES_AT)) end

local function put_stream(key, argv, width)
  for i = VALUES_AT, #argv, width do call('XADD', key, unpack(argv, i, i + width - 1)) end
end

local function put_text(key, argv) call('SET', key, argv[VALUES_AT]) end

local PUT = {
  products = put_hash, sales = put_hash, stock = put_hash, reservations = put_hash, buyers = put_hash,
  idem = put_hash, idem_old = put_hash, due = put_set, waitlist = put_set, removed = put_set, mutes = put_set,
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

function apply.put(args, argv)
  Access.all()
  PUT[args.key](K[args.key], argv, args.width)
  touch()
end

function apply.commit(args, argv)
  Access.all()
  call('UNLINK', K.show)
  call('HSET', K.show, 'run', Show.run_id, 'epoch', args.epoch)
  for i = VALUES_AT, #argv, VALUES_MAX do
    call('HSET', K.show, unpack(argv, i, math.min(i + VALUES_MAX - 1, #argv)))
  end
end

function apply.abort()
  Access.all()
  unlink_all()
end

return function(args, argv)
  local run, token, import_run, format = unpack(call('HMGET', K.show, 'run', 'import', 'import_run', 'format'))
  local newer = Show.check_format(format)
  if newer then return newer end
  if run then return { 'ok', args.op == 'begin' and 'exists' or 'stale' } end
  if args.op ~= 'begin' then
    if token ~= args.token then return { 'ok', 'stale' } end
    if import_run ~= Show.run_id and args.op ~= 'abort' then return { 'ok', 'restarted' } end
  end
  apply[args.op](args, argv)
  return { 'ok', '+' }
end
