-- fence: a show last written by another Redis process (restart, failover) may have lost its newest
-- writes. It gets a new epoch, so that clients take a snapshot instead of trusting old offsets, and
-- accepts no new holds until recover.lua has seen its books verified. The first caller does it,
-- others find it done.
-- ARGV[1]: run id of the server now. ARGV[2]: {epoch}. Returns {'ok', '+' or '=', epoch} or
-- {'show_not_found'}.
-- @options no-show
local known = call('HMGET', K.show, 'run', 'epoch')
if not known[1] then return { 'show_not_found' } end
if known[1] == run_id then return { 'ok', '=', known[2] } end
call('HSET', K.show, 'run', run_id, 'epoch', args[1], 'recovering', 1)
local fenced_rev = call('HINCRBY', K.show, 'rev', 1)
local head = pack({ fenced_rev, args[1], now, 0, 0, {}, {} })
call('SPUBLISH', K.channel, 'c' .. struct.pack('>I4', #head) .. head)
return { 'ok', '+', args[1] }
