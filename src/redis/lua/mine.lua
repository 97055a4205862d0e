-- mine: what some buyers hold, own and wait for.
-- ARGV[2]: array of users.
-- Returns {'ok', how many of the users were looked at (the first ones, until enough of them have a
-- record), then for each with a record its index, {packed reservations}, {sale, sku, qty, position,
-- joined at ...}, {sales}}.
-- @include fields show waitlist_range limits
-- @options no-writes
local call, read, int = redis.call, Show.read, Show.int
local K, B = Show.keys, Fields.buyer

local function reservations_of(entry, records)
  local ids = {}
  for id in string.gmatch(entry[B.IDS], '[^ ]+') do ids[#ids + 1] = id end
  if #ids == 0 then return end
  local found = call('HMGET', K.reservations, unpack(ids))
  for i = 1, #found do records[#records + 1] = found[i] end
end

-- `is_over`: sale id -> whether it is over, so that its waitlist entries count no more.
local function has_waits(sale_id, entry, is_over)
  if not next(entry[B.WAITS]) then return false end
  if is_over[sale_id] == nil then
    local sale = read(K.sales, sale_id, call('HGET', K.sales, sale_id))
    is_over[sale_id] = sale.state == 'ended' or sale.state == 'cancelled'
  end
  return not is_over[sale_id]
end

local function waits_of(sale_id, entry, waits, is_over)
  if not has_waits(sale_id, entry, is_over) then return end
  for sku, wait in pairs(entry[B.WAITS]) do
    local position = call('ZLEXCOUNT', K.waitlist, WaitlistRange.first(sale_id, sku), '[' .. wait[1])
    local view = { sale_id, sku, int(wait[2]), int(position), int(wait[4]) }
    for i = 1, 5 do waits[#waits + 1] = view[i] end
  end
end

return function(users)
  local reply, found, is_over = { 'ok', #users }, 0, {}
  local buyers = #users > 0 and call('HMGET', K.buyers, unpack(users)) or {}
  for i = 1, #users do
    if buyers[i] then
      if found == Limits.holdersPerCallMax then
        reply[2] = i - 1
        return reply
      end
      found = found + 1
      local records, waits, sale_ids = {}, {}, {}
      for sale_id, entry in pairs(read(K.buyers, users[i], buyers[i]) or {}) do
        sale_ids[#sale_ids + 1] = sale_id
        reservations_of(entry, records)
        waits_of(sale_id, entry, waits, is_over)
      end
      local n = 4 * found
      reply[n - 1], reply[n], reply[n + 1], reply[n + 2] = i, records, waits, sale_ids
    end
  end
  return reply
end
