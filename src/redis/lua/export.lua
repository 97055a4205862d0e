-- export: keeps a show as it is while it is read for an export. Until `frozen` it can be read, and
-- every change is refused (lib/show.lua); if the reader dies, the show goes on after that time. An
-- archived show is not frozen.
-- ARGV[2]: {op = 'freeze' | 'renew' | 'thaw', token, leaseMs}. A second reader takes over.
-- Returns {'ok', '+', state, rev} or {'ok', why not, state}: 'state' (live shows are refused),
-- 'busy' (it is archived, or a user erased from it) or 'stale' (the freeze ended before).
-- @include show access limits
-- @options no-show
local call, int = redis.call, Show.int
local K = Show.keys
local apply = {}

function apply.freeze(args, state, rev)
  if state == 'archived' then return { 'ok', '+', state, '0' } end
  local erasing = tonumber(call('HGET', K.show, 'erasing') or '0')
  local is_erasing = Show.now - erasing < Limits.erasureMarkMs
  if state == 'archiving' or is_erasing then return { 'ok', 'busy', state } end
  if state == 'live' then return { 'ok', 'state', state } end
  Access.all()
  call('HSET', K.show, 'frozen', int(Show.now + args.leaseMs), 'freezer', args.token)
  return { 'ok', '+', state, rev }
end

function apply.renew(args, state, rev)
  Access.all()
  call('HSET', K.show, 'frozen', int(Show.now + args.leaseMs))
  return { 'ok', '+', state, rev }
end

function apply.thaw(_, state, rev)
  Access.all()
  call('HDEL', K.show, 'frozen', 'freezer')
  return { 'ok', '+', state, rev }
end

return function(args)
  local header = call('HMGET', K.show, 'run', 'state', 'rev', 'frozen', 'freezer', 'format')
  local run, state, rev, frozen, freezer = unpack(header)
  if not state or state == 'deleting' then return { 'show_not_found' } end
  local newer = Show.check_format(header[6])
  if newer then return newer end
  local is_closed = state == 'archiving' or state == 'archived'
  if not is_closed and run ~= Show.run_id then return { 'fenced' } end
  local is_kept = frozen and freezer == args.token and tonumber(frozen) > Show.now
  if args.op ~= 'freeze' and not is_kept then return { 'ok', 'stale', state } end
  return apply[args.op](args, state, rev)
end
