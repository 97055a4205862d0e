-- archive: the last steps of a show: ended -> archiving -> archived, and deleting from any state
-- but live. From the first one on the header has no `run`, which also keeps release 0.1.0 away.
-- While `archiving` nothing changes, so that it can be read in slices. An archived show keeps its
-- header only, with the summary. Every step may be repeated. A show in which a user is being erased
-- is not frozen.
-- ARGV[2]: {op = 'freeze', owner, token, leaseMs, isLast}: only one owner works at a time; isLast:
-- what is open could not be ended | {op = 'thaw', token}: it is `ended` again | {op = 'finish',
-- token, keptMs}: the other keys expire after that | {op = 'purge'}: they end now | {op =
-- 'replace', token}: the archive was written again | {op = 'condemn', unlessArchived, force}:
-- `deleting`, and whether it has an archive; force: also a live one with a key of another type |
-- {op = 'delete', idleMs}: also what is left of an import that wrote nothing for so long.
-- Deleting needs no readable record.
-- ARGV[3] of 'finish' and 'replace': packed summary.
-- Returns {'ok', '+', ...}, or {'ok', why not, ...}: 'archived' and perhaps the summary, 'state'
-- and the state, 'busy', 'taken', 'recovering', 'sales', 'due' (of 'condemn' with the next moment),
-- 'format' or 'stale'.
-- Publishes, without an event, that nodes must load the show again: they find it closed.
-- @include show access limits
-- @options no-show
local call, int, find, unpack_record = redis.call, Show.int, string.find, cmsgpack.unpack
local K = Show.keys
local apply = {}
local FIELDS = {
  'run', 'state', 'view', 'created', 'ended', 'token', 'owner', 'lease', 'archive', 'recovering', 'live_sales',
  'body', 'erasing', 'frozen', 'import_at', 'format', 'run_before', 'origin', 'rev', 'offset',
}

local function fields() return call('HMGET', K.show, unpack(FIELDS)) end

local function count_due() return call('ZCARD', K.due) end

local function first_due() return call('ZRANGE', K.due, 0, 0, 'WITHSCORES')[2] end

-- Returns the header, or one without fields if the key has another type.
local function read_header(op)
  local header, is_read, values = {}, Show.try(fields)
  if not is_read then
    if op ~= 'condemn' then Show.refuse(K.show, 'its type') end
    return { state = 'unreadable' }
  end
  for i, field in ipairs(FIELDS) do header[field] = values[i] end
  return header
end

local function is_later(text) return text and (tonumber(text) or 0) > Show.now end

local function is_leased(header, owner)
  return header.owner and header.owner ~= owner and is_later(header.lease)
end

-- Whether it is read for an export (export.lua).
local function is_frozen(header) return is_later(header.frozen) end

local function is_count(text) return text and find(text, '^%-?%d+$') and #text < 18 end

local function has_view(header)
  local is_packed, view = pcall(unpack_record, header.view or '')
  return is_packed and type(view) == 'table'
end

-- Returns whether a live show can be ended.
local function is_readable(header)
  return has_view(header) and is_count(header.rev) and is_count(header.offset)
    and is_count(header.live_sales or '0') and is_count(header.format or '0')
end

-- What ending a show and its sales needs.
local TYPES = {
  products = 'hash', sales = 'hash', stock = 'hash', idem = 'hash', idem_old = 'hash', due = 'zset', log = 'stream',
  ledger = 'stream',
}

local function has_other_type()
  for name, key in pairs(K) do
    local expected, found = TYPES[name], call('TYPE', key).ok
    if expected and found ~= expected and found ~= 'none' then return true end
  end
  return false
end

-- A show that is closed gets no more events, so a revision that cannot be read is replaced.
local function close(epoch, header)
  if not is_count(header.rev) then call('HSET', K.show, 'rev', 0) end
  local rev = call('HINCRBY', K.show, 'rev', 1)
  Show.publish('c', cmsgpack.pack({ rev, epoch, Show.now, 0, 0, {}, {} }), '')
end

-- Returns why an ended show cannot be archived yet.
local function unfinished(args, header)
  if header.run ~= Show.run_id then return { 'fenced' } end
  if header.recovering == '1' then return { 'ok', 'recovering' } end
  -- Records that cannot be read must not keep a show in Redis for ever.
  local ended = tonumber(header.ended) or tonumber(header.created) or 0
  local is_stuck = args.isLast and Show.now - ended > Limits.archiveStuckMs
  if (tonumber(header.live_sales) or 0) > 0 and not is_stuck then return { 'ok', 'sales' } end
  -- An erasure is repeated until it ends. One that is lost with a failover ends here.
  local erasing = tonumber(header.erasing) or 0
  if Show.now - erasing < Limits.erasureMarkMs then return { 'ok', 'taken' } end
  local is_read, due = Show.try(count_due)
  return is_read and due > 0 and not is_stuck and { 'ok', 'due' } or nil
end

function apply.freeze(args, header)
  if header.state == 'archived' then return { 'ok', 'archived', header.archive } end
  if header.state ~= 'archiving' then
    if header.state ~= 'ended' then return { 'ok', 'state', header.state } end
    if is_frozen(header) then return { 'ok', 'taken' } end
    if not has_view(header) then Show.refuse(K.show, 'view') end
    local why = unfinished(args, header)
    if why then return why end
    if Show.must_migrate() then return { 'outdated' } end
    -- Nodes of release 0.1.0 have viewers of it.
    if Show.format < Limits.showFormat then return { 'ok', 'format' } end
    header.token, header.owner, header.run_before = args.token, nil, header.run
  end
  if is_leased(header, args.owner) then return { 'ok', 'busy' } end
  local ended = tonumber(header.ended) and header.ended or int(Show.now)
  Access.all()
  call('HDEL', K.show, 'run')
  call('HSET', K.show, 'state', 'archiving', 'token', header.token, 'owner', args.owner, 'lease',
    int(Show.now + args.leaseMs), 'ended', ended, 'run_before', header.run_before)
  local numbers = call('HMGET', K.show, 'peak', 'unique', 'hearts', 'chat_last')
  for i = 1, 4 do numbers[i] = numbers[i] or '0' end
  return { 'ok', '+', header.token, header.view, header.created, ended, unpack(numbers) }
end

function apply.thaw(args, header)
  if header.state ~= 'archiving' or header.token ~= args.token then return { 'ok', 'stale' } end
  Access.all()
  call('HDEL', K.show, 'owner', 'run_before')
  call('HSET', K.show, 'state', 'ended', 'run', header.run_before)
  return { 'ok', '+' }
end

function apply.finish(args, header, argv)
  if header.state == 'archived' then return { 'ok', 'archived', header.archive } end
  if header.state ~= 'archiving' or header.token ~= args.token then return { 'ok', 'stale' } end
  Access.all()
  for name, key in pairs(K) do
    if name ~= 'show' and name ~= 'channel' then call('PEXPIRE', key, int(args.keptMs)) end
  end
  close(args.token, header)
  call('UNLINK', K.show)
  call('HSET', K.show, 'state', 'archived', 'view', header.view, 'created', header.created,
    'ended', header.ended, 'body', header.body, 'token', args.token, 'archive', argv[3],
    'purge', int(Show.now + args.keptMs), 'format', header.format or 0)
  if header.origin then call('HSET', K.show, 'origin', header.origin) end
  return { 'ok', '+' }
end

local function unlink_all(with_header)
  Access.all()
  for name, key in pairs(K) do
    if name ~= 'channel' and (name ~= 'show' or with_header) then call('UNLINK', key) end
  end
end

function apply.replace(args, header, argv)
  if header.state ~= 'archived' or header.token ~= args.token then return { 'ok', 'stale' } end
  Access.all()
  call('HDEL', K.show, 'archive')
  call('HSET', K.show, 'archive', argv[3])
  return { 'ok', '+' }
end

function apply.purge(_, header)
  if header.state ~= 'archived' then return { 'ok', 'stale' } end
  unlink_all(false)
  return { 'ok', '+' }
end

function apply.condemn(args, header)
  local is_live = header.state == 'live' and is_readable(header)
  if is_live and not (args.force and has_other_type()) then return { 'ok', 'state', 'live' } end
  if is_frozen(header) or (header.state == 'archiving' and is_leased(header)) then return { 'ok', 'busy' } end
  if header.state == 'archived' and args.unlessArchived then return { 'ok', 'archived' } end
  local is_read, due = Show.try(first_due)
  if header.state == 'ended' and not args.force and is_read and due then return { 'ok', 'due', due } end
  local had_archive = header.archive and '1' or '0'
  if header.state == 'deleting' then return { 'ok', '+', had_archive } end
  Access.all()
  if header.state == 'unreadable' then call('UNLINK', K.show) else call('HDEL', K.show, 'run', 'eraser') end
  call('HSET', K.show, 'state', 'deleting')
  close('-', header)
  return { 'ok', '+', had_archive }
end

function apply.delete(args, header)
  local is_left = header.import_at and (tonumber(header.import_at) or 0) + args.idleMs <= Show.now
  if header.state ~= 'deleting' and not is_left then return { 'ok', 'stale' } end
  unlink_all(true)
  return { 'ok', '+' }
end

return function(args, argv)
  local header = read_header(args.op)
  local is_import = header.import_at and args.op == 'delete'
  if not header.state and not is_import then return { 'show_not_found' } end
  local is_end = args.op == 'condemn' or args.op == 'delete'
  local newer = (not is_end or is_count(header.format)) and Show.check_format(header.format)
  if newer then return newer end
  if header.state == 'deleting' and not is_end then return { 'show_not_found' } end
  return apply[args.op](args, header, argv)
end
