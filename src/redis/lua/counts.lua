-- counts: a node reports its viewers, the hearts since its last report and who is new to it; sums
-- over nodes, forgets nodes that fell silent, and publishes when a number changed. People are
-- counted, not kept: a HyperLogLog, asked again only when it changed.
-- ARGV[2]: {node, viewers, hearts, node time to live in ms, {hashed user...}}. Returns {'ok',
-- viewers, peak, hearts, epoch, rev, unique}: epoch and rev say where the show stands, for a node
-- that may have missed something.

if args[2] > 0 then call('HSET', K.nodes, args[1], pack({ args[2], now })) else call('HDEL', K.nodes, args[1]) end
local all, viewers = call('HGETALL', K.nodes), 0
for i = 1, #all, 2 do
  local report = unpack_record(all[i + 1])
  if now - report[2] > args[4] then call('HDEL', K.nodes, all[i]) else viewers = viewers + report[1] end
end
local known = call('HMGET', K.show, 'viewers', 'peak', 'hearts', 'unique')
local before, peak = tonumber(known[1] or '-1'), tonumber(known[2] or '0')
local hearts = tonumber(known[3] or '0') + args[3]
local unique_before = tonumber(known[4] or '0')
local unique = unique_before
if #args[5] > 0 and call('PFADD', K.uniques, unpack(args[5])) == 1 then unique = call('PFCOUNT', K.uniques) end
if viewers > peak then peak = viewers end
if viewers ~= before or args[3] > 0 or unique ~= unique_before then
  call('HSET', K.show, 'viewers', viewers, 'peak', peak, 'hearts', int(hearts), 'unique', unique)
  local head = pack({ viewers, peak, hearts, unique })
  call('SPUBLISH', K.channel, 'n' .. struct.pack('>I4', #head) .. head)
end
return { 'ok', viewers, peak, int(hearts), epoch, int(rev), unique }
