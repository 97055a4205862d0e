#!lua flags=no-writes
-- mine: the live holds and orders of some buyers. ARGV[2]: array of users. Returns {'ok', one array of packed reservations a user...}.
-- @include show

local reply = { 'ok' }
local found = #args > 0 and call('HMGET', K.buyers, unpack(args)) or {}
for i = 1, #args do
  local records = {}
  if found[i] then
    for _, mine in pairs(unpack_record(found[i])) do
      local raws = call('HMGET', K.reservations, unpack(mine.r))
      for j = 1, #raws do records[#records + 1] = raws[j] end
    end
  end
  reply[i + 1] = records
end
return reply
