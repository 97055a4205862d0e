-- moderate: takes chat messages off for good, or mutes a user for a time. Repeating changes nothing
-- more.
-- ARGV[2]: {op = 'remove', ids = array} | {op = 'mute', user, ms = from now} | {op = 'unmute',
-- user}.
-- Returns {'ok', messages taken off now | until when | 1 or 0} or {'ok', code}. Emits chat.removed;
-- mutes go to the nodes only.

-- Ids below the oldest message of the history cannot come back from there.
local function forget_old()
  local oldest = call('XRANGE', K.chat, '-', '+', 'COUNT', 1)[1]
  if oldest then call('ZREMRANGEBYSCORE', K.removed, '-inf', '(' .. int(unpack_record(oldest[2][2])[3])) end
  call('ZREMRANGEBYRANK', K.removed, 0, -CHAT_REMOVED_KEPT_MAX - 1)
end

local function remove(ids)
  local last = tonumber(call('HGET', K.show, 'chat_last') or '0')
  local fresh = {}
  for i = 1, #ids do
    if ids[i] > last then return 'not_found' end
    if not call('ZSCORE', K.removed, int(ids[i])) then fresh[#fresh + 1] = ids[i] end
  end
  if #fresh == 0 then return 0 end
  for i = 1, #fresh do call('ZADD', K.removed, int(fresh[i]), int(fresh[i])) end
  forget_old()
  emit('chat.removed', { ids = fresh })
  commit()
  return #fresh
end

local function mute(user, ms)
  if not call('ZSCORE', K.mutes, user) and call('ZCOUNT', K.mutes, '(' .. int(now), '+inf') >= MUTES_PER_SHOW_MAX then return 'limit_reached' end
  call('ZREMRANGEBYSCORE', K.mutes, '-inf', int(now))
  call('ZADD', K.mutes, int(now + ms), user)
  mutes[1] = { user, now + ms }
  commit()
  return int(now + ms)
end

local function unmute(user)
  if call('ZREM', K.mutes, user) == 0 then return 0 end
  mutes[1] = { user, 0 }
  commit()
  return 1
end

if args.op == 'remove' then return { 'ok', remove(args.ids) } end
if args.op == 'mute' then return { 'ok', mute(args.user, args.ms) } end
return { 'ok', unmute(args.user) }
