#!lua
-- show_create: makes a show with an empty log. The same id with the same body answers again.
-- ARGV[1]: run id. ARGV[2]: {body, epoch}. ARGV[3]: packed show record. ARGV[4]: packed event data.
-- Returns {'ok', '+' or '=', packed record, created at, state} or {'ok', 'already_exists'}.
local show_key, log_key = KEYS[1], KEYS[8]
local args = cmsgpack.unpack(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', show_key, 'body', 'view', 'created', 'state')
if known[1] then
  if known[1] ~= args.body then return { 'ok', 'already_exists' } end
  return { 'ok', '=', known[2], known[3], known[4] }
end
local created = string.format('%.0f', now)
redis.call('HSET', show_key, 'body', args.body, 'view', ARGV[3], 'created', created, 'state', 'planned', 'run', ARGV[1], 'epoch', args.epoch,
  'offset', 1, 'rev', 1, 'ver', 1, 'live_sales', 0)
redis.call('XADD', log_key, '1-0', 'e', cmsgpack.pack(1) .. cmsgpack.pack(now) .. cmsgpack.pack('show.created') .. ARGV[4])
return { 'ok', '+', ARGV[3], created, 'planned' }
