-- chat_append: appends one node's batch of chat to the show's history and publishes it. Above the
-- room's display cap only a sample is kept; the other messages take their ids and are dropped.
-- ARGV[2]: {node, at, count, display cap a second or 0 = none, {index of a marked message...}}.
-- ARGV[3]: the items, MessagePack values back to back, not decoded here. ARGV[4]: the end of each,
-- 4 bytes, little endian. ARGV[5]: packed authors, for other nodes.
-- Returns {'ok', id of the first message} or {'ok', id, {index of a shown message...}}. Publishes,
-- and keeps in the history, the head {node, at, first id, messages shown, ids taken, index of the
-- last one shown, bytes of authors before the items}.
-- @include show access chat_sample limits
local call, pack, sub, concat, struct_unpack = redis.call, cmsgpack.pack, string.sub, table.concat, struct.unpack
local K = Show.keys

return function(args, argv)
  local count, items, ends, authors = args[3], argv[3], argv[4], argv[5]
  Access.need('XADD', 4)
  Access.need('SPUBLISH', 2)
  local kept, window, last
  if args[4] > 0 then
    local known = call('HMGET', K.show, 'chat_window', 'chat_last')
    kept, window = ChatSample.choose(Show.read_clock(), count, args[5], args[4], known[1])
    last = tonumber(known[2] or '0') + count
    call('HSET', K.show, 'chat_window', window, 'chat_last', Show.int(last))
  else
    last = call('HINCRBY', K.show, 'chat_last', count)
  end
  local first, shown, last_shown = last - count + 1, count, count - 1
  if kept then
    local parts = {}
    for i = 1, #kept do
      local index = kept[i]
      local from = index == 0 and 0 or struct_unpack('<I4', ends, 4 * index - 3)
      parts[i] = sub(items, from + 1, (struct_unpack('<I4', ends, 4 * index + 1)))
    end
    items, shown, last_shown = concat(parts), #kept, kept[#kept] or -1
  end
  local head = pack({ args[1], args[2], first, shown, count, last_shown, #authors })
  if shown > 0 then
    call('XADD', K.chat, 'MAXLEN', '~', Limits.chatRingBatches, '*', 'h', head, 'i', items, 'a', authors)
  end
  Show.publish('m', head, authors, items)
  return { 'ok', first, kept }
end
