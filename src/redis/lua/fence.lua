-- fence: gives a show that another Redis process (restart, failover) wrote last a new epoch,
-- because its newest writes may be lost. Clients then fetch a snapshot instead of trusting old
-- offsets, and no holds are made until recover.lua has verified the books. Only the first call
-- changes anything.
-- ARGV[1]: run id of the server. ARGV[2]: {epoch}.
-- Returns {'ok', '+' or '=', epoch}, {'show_not_found'} or {'format_newer'}.
-- @include show access
-- @options no-show
local call = redis.call
local K = Show.keys

return function(args)
  local known = call('HMGET', K.show, 'run', 'epoch', 'format')
  if not known[1] then return { 'show_not_found' } end
  local newer = Show.check_format(known[3])
  if newer then return newer end
  if known[1] == Show.run_id then return { 'ok', '=', known[2] } end
  Access.all()
  call('HSET', K.show, 'run', Show.run_id, 'epoch', args[1], 'recovering', 1)
  local rev = call('HINCRBY', K.show, 'rev', 1)
  Show.publish('c', cmsgpack.pack({ rev, args[1], Show.now, 0, 0, {}, {} }), '')
  return { 'ok', '+', args[1] }
end
