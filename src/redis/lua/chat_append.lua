#!lua
-- chat_append: appends one node's batch of chat to the show's history and publishes it, however many messages it holds.
-- ARGV[2]: {node, at, count, authors}; ARGV[3]: the batch's items, MessagePack values back to back, not looked at here.
-- Returns {'ok', id of the first message}. History head: {node, at, first id, count, authors}.
-- @include show

local count = args[3]
local last = call('HINCRBY', K.show, 'chat_last', count)
local first = last - count + 1
local head = pack({ args[1], args[2], first, count })
call('XADD', K.chat, 'MAXLEN', '~', CHAT_HISTORY_BATCHES, '*', 'h', pack({ args[1], args[2], first, count, args[4] }), 'i', ARGV[3])
call('SPUBLISH', K.channel, 'm' .. struct.pack('>I4', #head) .. head .. ARGV[3])
return { 'ok', int(first) }
