-- counts: a node reports its viewers and the format of shows that it knows, and since its last
-- report the hearts, users who are new to it and requests of busy users. Sums over nodes, drops
-- nodes that stopped reporting, and publishes when a number changed, or when other nodes must
-- charge busy users. Unique users are estimated with a HyperLogLog, which is read only when it
-- changed.
-- ARGV[2]: {node, viewers, hearts, node time to live in ms, {hashed user...}, {{user,
-- requests}...}}.
-- Returns {'ok', viewers, peak, hearts, epoch, rev, unique, ended waitlist entries}. From epoch and
-- rev a node sees that it missed a commit, from the last number that positions have changed.
-- @include show access limits
local call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack
local K, int = Show.keys, Show.int

local function waiting() return call('ZCARD', K.waitlist) end

-- Returns how many waitlist entries ended so far, over all SKUs and in all releases: those that
-- were ever made (`joined`), without those that wait.
local function ended_waits(joined)
  local made = tonumber(joined or '0') or 0
  if made == 0 then return 0 end
  local is_read, count = Show.try(waiting)
  return is_read and made - count or 0
end

return function(args)
  local now, node, viewers, users = Show.now, args[1], args[2], args[5]
  local reports, gone, busy, has_others = call('HGETALL', K.nodes), {}, args[6] or {}, false
  for i = 1, #reports, 2 do
    if reports[i] ~= node then
      local is_packed, report = pcall(unpack_record, reports[i + 1])
      local is_report = is_packed and type(report) == 'table' and tonumber(report[1]) and tonumber(report[2])
      if not is_report or now - report[2] > args[4] then
        gone[#gone + 1] = reports[i]
      else
        viewers, has_others = viewers + report[1], true
      end
    end
  end
  local known = call('HMGET', K.show, 'viewers', 'peak', 'hearts', 'unique', 'joined')
  local viewers_before, peak = tonumber(known[1] or '-1'), tonumber(known[2] or '0')
  local hearts = tonumber(known[3] or '0') + args[3]
  local unique_before = tonumber(known[4] or '0')
  local unique = unique_before
  local ended = ended_waits(known[5])
  if viewers > peak then peak = viewers end
  local has_changed = viewers ~= viewers_before or args[3] > 0
  local must_share = has_others and #busy > 0
  if args[2] == 0 then gone[#gone + 1] = node end
  if #gone > 0 or #users > 0 then Access.all() elseif has_changed or must_share then Access.need('SPUBLISH', 2) end

  if args[2] > 0 then call('HSET', K.nodes, node, pack({ args[2], now, Limits.showFormat })) end
  if #gone > 0 then call('HDEL', K.nodes, unpack(gone)) end
  if #users > 0 and call('PFADD', K.uniques, unpack(users)) == 1 then unique = call('PFCOUNT', K.uniques) end
  has_changed = has_changed or unique ~= unique_before
  if has_changed then
    call('HSET', K.show, 'viewers', viewers, 'peak', peak, 'hearts', int(hearts), 'unique', unique)
  end
  local numbers = { viewers, peak, hearts, unique }
  if must_share then numbers[5], numbers[6] = node, busy end
  if has_changed or must_share then Show.publish('n', pack(numbers), '') end
  return { 'ok', viewers, peak, int(hearts), Show.epoch, int(Show.rev), unique, ended }
end
