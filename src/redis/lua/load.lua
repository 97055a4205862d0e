-- load: everything a room or a page needs of a show, at one position of the log.
-- ARGV[2]: {chat messages wanted; 0: neither chat nor mutes, true: nor products, sales and what is
-- due}: a change of the show must not need a record that it does not change.
-- Returns {'ok', epoch, offset, rev, next due, state, view, created, ver, hearts, peak, viewers,
-- {product...}, {sale...}, {stock field, stock...}, {chat head, chat items...} oldest first,
-- unique, last chat id, {id of a removed message...}, {user, until...} mutes, announcement, its
-- time}.
-- @include show
-- @options no-writes
local call, unpack_record = redis.call, cmsgpack.unpack
local K, int = Show.keys, Show.int
local BATCHES_PER_READ = 10

-- Returns the id of the first message of a batch and how many were shown; 0, 1 if unreadable.
local function ids_of(head)
  local is_packed, values = pcall(unpack_record, head)
  local is_head = is_packed and type(values) == 'table' and tonumber(values[3]) and tonumber(values[4])
  if not is_head then return 0, 1 end
  return values[3], values[4]
end

-- Returns heads and items of the newest batches, oldest first.
local function chat_history(wanted)
  local newest_first, newest = {}, '+'
  while wanted > 0 do
    local entries = call('XREVRANGE', K.chat, newest, '-', 'COUNT', BATCHES_PER_READ)
    for i = 1, #entries do
      if wanted > 0 then
        local head, _, items = unpack(entries[i][2], 2, 4)
        newest_first[#newest_first + 1] = { head or '', items or '' }
        local _, shown = ids_of(head)
        wanted = wanted - shown
      end
    end
    if #entries < BATCHES_PER_READ then break end
    newest = '(' .. entries[#entries][1]
  end
  local chat = {}
  for i = #newest_first, 1, -1 do
    chat[#chat + 1], chat[#chat + 2] = newest_first[i][1], newest_first[i][2]
  end
  return chat
end

return function(args)
  local is_whole = not args[2]
  local next_due = is_whole and call('ZRANGE', K.due, 0, 0, 'WITHSCORES')[2] or ''
  local more = call('HMGET', K.show, 'view', 'created', 'ver', 'hearts', 'peak', 'viewers', 'unique', 'chat_last',
    'announced', 'announced_at')
  local chat, removed, mutes = chat_history(args[1]), {}, {}
  if args[1] > 0 then mutes = call('ZRANGE', K.mutes, '(' .. int(Show.now), '+inf', 'BYSCORE', 'WITHSCORES') end
  if chat[1] then removed = call('ZRANGE', K.removed, int((ids_of(chat[1]))), '+inf', 'BYSCORE') end
  local products, sales, stock = {}, {}, {}
  if is_whole then
    products, sales, stock = call('HVALS', K.products), call('HVALS', K.sales), call('HGETALL', K.stock)
  end
  return {
    'ok', Show.epoch, int(Show.offset), int(Show.rev), next_due, Show.state, more[1], more[2], more[3], more[4] or '0',
    more[5] or '0', more[6] or '0', products, sales, stock, chat, more[7] or '0', more[8] or '0',
    removed, mutes, more[9] or '', more[10] or '0',
  }
end
