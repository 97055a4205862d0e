-- moderate: removes chat messages for good, or mutes a user for a time. Repeating changes nothing.
-- ARGV[2]: {op = 'remove', ids = array} | {op = 'mute', user, ms = from now} | {op = 'unmute',
-- user}.
-- Returns {'ok', messages newly removed | end of the mute | 1 or 0} or {'ok', code}.
-- Events: chat.removed. Mutes are published to nodes only.
-- @include show access events commit limits
local call, unpack_record = redis.call, cmsgpack.unpack
local K, int = Show.keys, Show.int
local apply = {}

-- Forgets ids older than the history: those messages cannot appear again.
local function trim_removed()
  local oldest = call('XRANGE', K.chat, '-', '+', 'COUNT', 1)[1]
  local is_packed, head = pcall(unpack_record, oldest and oldest[2][2])
  local first = is_packed and type(head) == 'table' and tonumber(head[3])
  if first then call('ZREMRANGEBYSCORE', K.removed, '-inf', '(' .. int(first)) end
  call('ZREMRANGEBYRANK', K.removed, 0, -Limits.chatRemovedKeptMax - 1)
end

local function publish_mute(user, ends_at)
  Commit.mutes[1] = { user, ends_at }
  Commit.write()
end

function apply.remove(args)
  local last, fresh = tonumber(call('HGET', K.show, 'chat_last') or '0'), {}
  for _, id in ipairs(args.ids) do
    if id > last then return 'not_found' end
    if not call('ZSCORE', K.removed, int(id)) then fresh[#fresh + 1] = id end
  end
  if #fresh == 0 then return 0 end
  Access.all()
  for _, id in ipairs(fresh) do call('ZADD', K.removed, int(id), int(id)) end
  trim_removed()
  Events.emit('chat.removed', { ids = fresh })
  Commit.write()
  return #fresh
end

function apply.mute(args)
  local now, ends_at = int(Show.now), Show.now + args.ms
  local is_new = not call('ZSCORE', K.mutes, args.user)
  if is_new and call('ZCOUNT', K.mutes, '(' .. now, '+inf') >= Limits.mutesPerShowMax then return 'limit_reached' end
  Access.all()
  call('ZREMRANGEBYSCORE', K.mutes, '-inf', now)
  call('ZADD', K.mutes, int(ends_at), args.user)
  publish_mute(args.user, ends_at)
  return int(ends_at)
end

function apply.unmute(args)
  if not call('ZSCORE', K.mutes, args.user) then return 0 end
  Access.all()
  call('ZREM', K.mutes, args.user)
  publish_mute(args.user, 0)
  return 1
end

return function(args) return { 'ok', apply[args.op](args) } end
