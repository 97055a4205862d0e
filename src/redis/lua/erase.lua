-- erase: the steps that erase a user from a show; src/redis/erase-show.ts has their order. Each
-- may be repeated. 'begin' marks the show, so that it is not archived half erased, and ends what
-- the user has: waits, mute, and the record of what they hold. An open hold refuses it.
-- ARGV[2]: {op = 'begin', token, user, hash of the user, cursors = fields of the header that may
-- name the user} | {op = 'records', token, user, pseudonym, ids} | {op = 'commands', token, user,
-- pseudonym, name = 'idem' or 'idem_old', fields with a reservation of the user} | {op = 'swap',
-- token, stream, after, length}: the stream becomes the copy in `rewrite`, which ends before
-- `after` | {op = 'end', token}.
-- Returns {'ok', '+', ...}: of 'begin' the last ledger id, waits ended, 1 if muted; of 'records'
-- and 'commands' how many changed; or {'ok', why not}: 'held' and the deadline, 'stale' (another
-- process took over), 'more' (the stream has grown).
-- Ledger: leave. Publishes to nodes that the user is erased: a mute until -1.
-- @include fields show access books ledger waitlist due commit limits
local call, pack, unpack_record, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local K, R, B, int = Show.keys, Fields.reservation, Fields.buyer, Show.int
local apply = {}

-- Returns the last deadline of the buyer's open holds, or nil.
local function held_until(buyer)
  local ids, last = {}, nil
  for _, entry in pairs(buyer) do
    for id in string.gmatch(entry[B.IDS], '[^ ]+') do ids[#ids + 1] = id end
  end
  Books.fetch(K.reservations, Books.reservations, ids)
  for i = 1, #ids do
    local r = Books.reservation_of(ids[i])
    if r and r[R.STATE] == 'held' then last = math.max(last or 0, r[R.UNTIL] + Limits.confirmGraceMs) end
  end
  return last
end

local function end_waits(buyer, user)
  local waits = {}
  for sale_id, entry in pairs(buyer) do
    for sku in pairs(entry[B.WAITS]) do waits[#waits + 1] = { sale_id, sku } end
  end
  for i = 1, #waits do Waitlist.leave(waits[i][1], waits[i][2], user, 'erasure', '', 'erased') end
  return #waits
end

-- A mute of a show that goes on stays, under the hash of the user.
local function end_mute(user, hash)
  local ends_at = call('ZSCORE', K.mutes, user)
  if not ends_at then return 0 end
  if tonumber(ends_at) > Show.now and Show.state ~= 'ended' then
    call('ZADD', K.mutes, ends_at, hash)
    Commit.mutes[1] = { hash, tonumber(ends_at) }
  end
  call('ZREM', K.mutes, user)
  return 1
end

function apply.begin(args)
  local user = args.user
  Due.sweep()
  local buyer = Books.buyer_of(user) or {}
  local held = held_until(buyer)
  if held then
    Commit.write()
    return { 'ok', 'held', int(held) }
  end
  Access.all()
  Ledger.check()
  local waits, mutes = end_waits(buyer, user), end_mute(user, args.hash)
  Books.dirty_buyers[user] = nil
  Commit.mutes[#Commit.mutes + 1] = { user, -1 }
  Commit.write()
  call('HDEL', K.buyers, user)
  for _, field in ipairs(args.cursors) do
    local cursor = call('HGET', K.show, field) or ''
    if sub(cursor, -#user - 1) == '/' .. user then call('HSET', K.show, field, sub(cursor, 1, -#user - 1)) end
  end
  call('HSET', K.show, 'eraser', args.token, 'erasing', int(Show.now), 'erased', 1)
  local last = call('XREVRANGE', K.ledger, '+', '-', 'COUNT', 1)
  return { 'ok', '+', last[1] and last[1][1] or '', waits, mutes }
end

-- Names another user in a reservation. Returns false if it is not of this user.
local function rename(r, args)
  if type(r) ~= 'table' or r[R.USER] ~= args.user or not r[R.STATE] then return false end
  r[R.USER], r[R.KEY] = args.pseudonym, ''
  -- What the host wrote may name the user.
  local more = r[R.MORE] or {}
  more.note, more.tracking, more.refundReason = nil, nil, nil
  r[R.MORE] = next(more) and more or nil
  return true
end

function apply.records(args)
  local records, flat = call('HMGET', K.reservations, unpack(args.ids)), {}
  for i = 1, #records do
    local r = records[i] and unpack_record(records[i])
    if r and rename(r, args) then flat[#flat + 1], flat[#flat + 2] = args.ids[i], pack(r) end
  end
  Access.all()
  if #flat > 0 then call('HSET', K.reservations, unpack(flat)) end
  return { 'ok', '+', #flat / 2 }
end

local function erase_command(key, field, args)
  local own, packed = 'user:' .. args.user .. '\0', call('HGET', key, field)
  if not packed then return 0 end
  if sub(field, 1, #own) == own then return call('HDEL', key, field) end
  local record = unpack_record(packed)
  local result = unpack_record(record[2])
  if not rename(result, args) then return 0 end
  call('HSET', key, field, pack({ record[1], pack(result) }))
  return 1
end

function apply.commands(args)
  local key, erased = args.name == 'idem' and K.idem or K.idem_old, 0
  Access.all()
  for _, field in ipairs(args.fields) do erased = erased + erase_command(key, field, args) end
  return { 'ok', '+', erased }
end

function apply.swap(args)
  local key, max = K[args.stream], Limits.erasureTailMax
  if call('XLEN', K.rewrite) ~= args.length then return { 'ok', 'stale' } end
  local tail = call('XRANGE', key, args.after, '+', 'COUNT', max + 1)
  if #tail > max then return { 'ok', 'more' } end
  Access.all()
  for i = 1, #tail do call('XADD', K.rewrite, tail[i][1], unpack(tail[i][2])) end
  call('UNLINK', key)
  if args.length + #tail > 0 then
    call('PERSIST', K.rewrite) -- a copy that is left expires (erase-show.ts)
    call('RENAME', K.rewrite, key)
  end
  call('HINCRBY', K.show, 'swaps', 1) -- for readers of several pages (ledger-auditor.ts)
  return { 'ok', '+' }
end

apply['end'] = function()
  Access.all()
  call('UNLINK', K.rewrite)
  call('HDEL', K.show, 'eraser', 'erasing')
  return { 'ok', '+' }
end

return function(args)
  if args.op ~= 'begin' and call('HGET', K.show, 'eraser') ~= args.token then return { 'ok', 'stale' } end
  return apply[args.op](args)
end
