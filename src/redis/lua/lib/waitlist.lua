-- The line for a SKU that is sold out. One sorted set a show, all scores 0, members `sale/sku/<16
-- digits: order of joining>/user`, so a range by name is one line in order. Freed units become
-- holds (offers) for the first in line in the same script that freed them.
local function in_line(sale_id, sku) return call('ZLEXCOUNT', K.waitlist, line_from(sale_id, sku), line_to(sale_id, sku)) end

local unserved -- sale/sku whose line could not be served in one slice: no newcomer may pass it
local going_on -- sale/sku whose line goes on being served where the last slice ended
each_call(function() unserved, going_on = {}, {} end)

-- Are the free units of this SKU spoken for by a line that is still being served?
local function promised(field)
  local answer = unserved[field]
  if answer == nil then
    answer = call('ZSCORE', K.due, 'w:' .. field) ~= false
    unserved[field] = answer
  end
  return answer
end

local function step_out(sale_id, sku, user, actor, key, reason)
  local mine = standing(user, sale_id)
  local wait = mine[B_WAITS][sku]
  call('ZREM', K.waitlist, wait[1])
  mine[B_WAITS][sku] = nil
  enter('leave', sale_id, wait[3], user, actor, key, reason, { { sku, wait[2] } })
end

-- Offers free units to the line, in order, a slice a call. Whoever wants more than is free is
-- passed over, so that nothing stays unsold for them; fresh units begin at the front again. The
-- cursor of a pass is the last member looked at.
local function serve_line(sale, sku)
  local books = stock_of(sale.id, sku)
  local field = name_of(sale.id, sku)
  local cursor_field = 'line:' .. field
  local cursor = going_on[field] and call('HGET', K.show, cursor_field)
  going_on[field], unserved[field] = nil, false
  if books[AVAILABLE] == 0 or sale.state ~= 'open' or (sale.closesAt and sale.closesAt <= now) then return end
  local from = cursor and '(' .. cursor or line_from(sale.id, sku)
  local members = call('ZRANGE', K.waitlist, from, line_to(sale.id, sku), 'BYLEX', 'LIMIT', 0, WAITLIST_SLICE_MAX + 1)
  local more = #members > WAITLIST_SLICE_MAX
  if more then members[#members] = nil end
  local skip = #field + 19 -- '/', 16 digits, '/', and on to the user
  local users = {}
  for i = 1, #members do users[i] = string.sub(members[i], skip) end
  fetch(K.buyers, buyers, users)
  for i = 1, #members do
    if books[AVAILABLE] == 0 then return end
    local user = users[i]
    local buyer = buyer_of(user)
    local mine = buyer and buyer[sale.id]
    local wait = mine and mine[B_WAITS][sku]
    if not wait or reservation_of(wait[3]) then
      call('ZREM', K.waitlist, members[i])
    elseif wait[2] <= books[AVAILABLE] then
      local kind = kind_of(sale, { sku, wait[2] })
      local over = over_limit(kind, mine)
      step_out(sale.id, sku, user, 'waitlist', '', over and 'limit' or 'offer')
      if not over then offer(kind, wait[3], user, wait[5]) end
    end
  end
  if more and books[AVAILABLE] > 0 then
    call('HSET', K.show, cursor_field, members[#members])
    due_set['w:' .. field] = now
    unserved[field] = true
  end
end

-- Serves each line once for what came free; its offers take units and free none, so nothing is left
-- to serve afterwards.
local function serve_lines()
  local wanted = to_serve
  if recovering or next(wanted) == nil then return end
  to_serve = {}
  if call('EXISTS', K.waitlist) == 0 then return end
  for _, pair in pairs(wanted) do
    local sale = sale_of(pair[1])
    if sale and sale.state == 'open' then serve_line(sale, pair[2]) end
  end
end
