-- counts: a node reports its viewers, the hearts since its last report and users who are new to it.
-- Sums over nodes, drops nodes that stopped reporting, and publishes when a number changed. Unique
-- users are estimated with a HyperLogLog, which is read only when it changed.
-- ARGV[2]: {node, viewers, hearts, node time to live in ms, {hashed user...}}.
-- Returns {'ok', viewers, peak, hearts, epoch, rev, unique}. From epoch and rev a node sees that it
-- missed a commit.
-- @include show access
local call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack
local K, int = Show.keys, Show.int

return function(args)
  local now, node, viewers, users = Show.now, args[1], args[2], args[5]
  local reports, gone = call('HGETALL', K.nodes), {}
  for i = 1, #reports, 2 do
    if reports[i] ~= node then
      local report = unpack_record(reports[i + 1])
      if now - report[2] > args[4] then gone[#gone + 1] = reports[i] else viewers = viewers + report[1] end
    end
  end
  local known = call('HMGET', K.show, 'viewers', 'peak', 'hearts', 'unique')
  local viewers_before, peak = tonumber(known[1] or '-1'), tonumber(known[2] or '0')
  local hearts = tonumber(known[3] or '0') + args[3]
  local unique_before = tonumber(known[4] or '0')
  local unique = unique_before
  if viewers > peak then peak = viewers end
  local has_changed = viewers ~= viewers_before or args[3] > 0
  if args[2] == 0 then gone[#gone + 1] = node end
  if #gone > 0 or #users > 0 then Access.all() elseif has_changed then Access.need('SPUBLISH', 2) end

  if args[2] > 0 then call('HSET', K.nodes, node, pack({ args[2], now })) end
  if #gone > 0 then call('HDEL', K.nodes, unpack(gone)) end
  if #users > 0 and call('PFADD', K.uniques, unpack(users)) == 1 then unique = call('PFCOUNT', K.uniques) end
  if has_changed or unique ~= unique_before then
    call('HSET', K.show, 'viewers', viewers, 'peak', peak, 'hearts', int(hearts), 'unique', unique)
    Show.publish('n', pack({ viewers, peak, hearts, unique }), '')
  end
  return { 'ok', viewers, peak, int(hearts), Show.epoch, int(Show.rev), unique }
end
