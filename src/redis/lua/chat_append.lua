-- chat_append: appends one node's batch of chat to the show's history and publishes it, however
-- many messages it holds. Above the room's display cap a sample of the batch; the others have their
-- numbers and are nowhere else.
-- ARGV[2]: {node, at, count, display cap a second or 0 = show all, {index of a marked message...}};
-- ARGV[3]: the batch's items, MessagePack values back to back, not looked at here; ARGV[4]: where
-- each ends, 4 bytes, little endian; ARGV[5]: packed authors, for other nodes to open.
-- Returns {'ok', id of the first message} or {'ok', id, {index of a message that is shown...}}.
-- Head in the history and of the relay: {node, at, first id, messages shown, ids taken, index of
-- the last one shown, bytes of authors before the items}.

local count, items, ends, authors = args[3], ARGV[3], ARGV[4], ARGV[5]
local kept = args[4] > 0 and sample(count, args[5], args[4]) or nil
local last = call('HINCRBY', K.show, 'chat_last', count)
local first = last - count + 1
local shown, last_shown = count, count - 1
if kept then
  local parts = {}
  for i = 1, #kept do
    local index = kept[i]
    local from = index == 0 and 0 or struct.unpack('<I4', ends, 4 * index - 3)
    parts[i] = string.sub(items, from + 1, (struct.unpack('<I4', ends, 4 * index + 1)))
  end
  items, shown, last_shown = table.concat(parts), #kept, kept[#kept] or -1
end
local head = pack({ args[1], args[2], first, shown, count, last_shown, #authors })
if shown > 0 then call('XADD', K.chat, 'MAXLEN', '~', CHAT_HISTORY_BATCHES, '*', 'h', head, 'i', items, 'a', authors) end
call('SPUBLISH', K.channel, 'm' .. struct.pack('>I4', #head) .. head .. authors .. items)
if kept then return { 'ok', int(first), kept } end
return { 'ok', int(first) }
