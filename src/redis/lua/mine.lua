-- mine: what some buyers hold, own and wait for. ARGV[2]: array of users.
-- Returns {'ok', then for each user {packed reservations}, {sale, sku, qty, place, joined at ...},
-- {sales}}.
-- @options no-writes

local reply = { 'ok' }
local found = #args > 0 and call('HMGET', K.buyers, unpack(args)) or {}
for i = 1, #args do
  local records, waits, known_in = {}, {}, {}
  if found[i] then
    for sale_id, mine in pairs(unpack_record(found[i])) do
      known_in[#known_in + 1] = sale_id
      local ids = {}
      for id in string.gmatch(mine[B_IDS], '[^ ]+') do ids[#ids + 1] = id end
      if #ids > 0 then
        local raws = call('HMGET', K.reservations, unpack(ids))
        for j = 1, #raws do records[#records + 1] = raws[j] end
      end
      local sale = next(mine[B_WAITS]) and unpack_record(call('HGET', K.sales, sale_id))
      local over = not sale or sale.state == 'ended' or sale.state == 'cancelled'
      for sku, wait in pairs(over and {} or mine[B_WAITS]) do
        local place = call('ZLEXCOUNT', K.waitlist, line_from(sale_id, sku), '[' .. wait[1])
        local view = { sale_id, sku, int(wait[2]), int(place), int(wait[4]) }
        for j = 1, 5 do waits[#waits + 1] = view[j] end
      end
    end
  end
  reply[3 * i - 1], reply[3 * i], reply[3 * i + 1] = records, waits, known_in
end
return reply
