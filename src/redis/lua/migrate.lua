-- migrate: brings a show to the format of this release ("Formats" in src/README.md). Repeating it
-- changes nothing. From 0 (release 0.1.0) to 1: an ended show gets the time of its end.
-- ARGV[2]: {}.
-- Returns {'ok', '+'}, '=' if it has that format, 'later' while a node with viewers of the show
-- does not know it.
-- @include show access limits
-- @options no-show
local call, int, unpack_record = redis.call, Show.int, cmsgpack.unpack
local K = Show.keys
local EVENTS_MAX = 100 -- the end of a show is followed by those of its sales

-- Returns when the show ended, by its log. If that has lost it: the time of the newest entry of the
-- ledger, which is about as old.
local function end_of(created)
  for _, entry in ipairs(call('XREVRANGE', K.log, '+', '-', 'COUNT', EVENTS_MAX)) do
    local is_packed, _, at, kind = pcall(unpack_record, entry[2][2])
    if is_packed and kind == 'show.ended' and tonumber(at) then return int(at) end
  end
  local last = call('XREVRANGE', K.ledger, '+', '-', 'COUNT', 1)[1]
  return last and string.match(last[1], '^%d+') or created
end

-- Returns whether a node that does not know the newest format has viewers of this show. Release
-- 0.1.0 reports no format (counts.lua).
local function has_older_node()
  for _, packed in ipairs(call('HVALS', K.nodes)) do
    local is_packed, report = pcall(unpack_record, packed)
    local at = is_packed and type(report) == 'table' and tonumber(report[2])
    local is_live = at and Show.now - at <= Limits.nodeCountsTtlMs
    if is_live and (tonumber(report[3]) or 0) < Limits.showFormat then return true end
  end
  return false
end

return function()
  local header = call('HMGET', K.show, 'run', 'state', 'format', 'ended', 'created')
  if not header[1] then return { 'show_not_found' } end
  local newer = Show.check_format(header[3])
  if newer then return newer end
  if Show.format == Limits.showFormat then return { 'ok', '=' } end
  if header[1] ~= Show.run_id then return { 'fenced' } end
  if has_older_node() then return { 'ok', 'later' } end
  local ended = header[2] == 'ended' and not header[4] and end_of(header[5])
  Access.all()
  if ended then call('HSET', K.show, 'ended', ended) end
  call('HSET', K.show, 'format', Limits.showFormat)
  return { 'ok', '+' }
end
