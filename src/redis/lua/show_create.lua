-- show_create: makes a show with an empty log. The same id with the same body returns the same
-- show.
-- ARGV[1]: run id. ARGV[2]: {body, epoch, format, filling = true if products and sales follow
-- (redis/show-plans.ts)}. ARGV[3]: packed show record. ARGV[4]: packed event data.
-- Returns {'ok', '+' or '=', packed record, created at, state, '1' if it is filling or ''},
-- {'ok', 'already_exists'}, {'ok', 'importing', its newest moment}, {'show_archived'} or
-- {'format_newer'}.
-- Events: show.created (in the log only).
-- @include show access
-- @options no-show
local call, pack = redis.call, cmsgpack.pack
local K = Show.keys
local FILLING = { 'filling', '1' }

return function(args, argv)
  local known = call('HMGET', K.show, 'body', 'view', 'created', 'state', 'import', 'format', 'import_at', 'filling')
  local newer = Show.check_format(known[6])
  if newer then return newer end
  if known[5] then return { 'ok', 'importing', known[7] or '0' } end
  if known[4] == 'archived' or known[4] == 'deleting' then return { 'show_archived' } end
  if known[1] then
    if known[1] ~= args.body then return { 'ok', 'already_exists' } end
    return { 'ok', '=', known[2], known[3], known[4], known[8] or '' }
  end
  Access.all()
  local created = Show.int(Show.now)
  -- First: a log that another program has written takes no first event.
  local event = pack(1) .. pack(Show.now) .. pack('show.created') .. argv[4]
  if not Show.try(call, 'XADD', K.log, '1-0', 'e', event) then Show.refuse(K.log, 'its type or its last id') end
  call('HSET', K.show, 'body', args.body, 'view', argv[3], 'created', created, 'state', 'planned',
    'run', Show.run_id, 'epoch', args.epoch, 'origin', args.epoch, 'offset', 1, 'rev', 1, 'ver', 1,
    'live_sales', 0, 'format', args.format, unpack(args.filling and FILLING or {}))
  return { 'ok', '+', argv[3], created, 'planned', args.filling and '1' or '' }
end
