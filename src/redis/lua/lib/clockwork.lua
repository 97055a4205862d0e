-- What time does to a show. `due` holds everything that falls due, by moment: o:<sale> opens,
-- c:<sale> closes, w:<sale>/<sku> a line goes on being served, and a hold, by its id alone (which
-- has no colon), lapses. Whoever calls next does it, in order of time, at most a slice a call;
-- doing it twice does nothing. A capped extension, an opening or a lapse reads no other clock than
-- Redis' own.
local function emit(kind, data)
  offset = offset + 1
  events[#events + 1] = { offset, pack(offset) .. pack(now) .. pack(kind) .. pack(data) }
end

local function sale_view(sale)
  local fields = {}
  for i = 1, #sale.skus do fields[i] = name_of(sale.id, sale.skus[i]) end
  fetch(K.stock, stock, fields)
  local skus = {}
  for i = 1, #sale.skus do
    local books = stock_of(sale.id, sale.skus[i])
    skus[i] = { sku = sale.skus[i], product = books[8], price = books[6], left = books[AVAILABLE] }
    if books[7] > 0 then skus[i].perBuyer = books[7] end
  end
  return {
    id = sale.id, title = sale.title, state = sale.state, opensAt = sale.opensAt, closesAt = sale.closesAt,
    holdMs = sale.holdMs, perBuyer = sale.perBuyer, currency = sale.currency, skus = skus, rev = rev + 1,
  }
end

local function announce_sale(sale, kind)
  save_sale(sale)
  emit(kind, { sale = sale_view(sale) })
end

-- nil when a window may be: its end lies ahead, and its length, known only here where both ends are
-- on Redis' clock, within bounds.
local function wrong_window(opens_at, closes_at)
  if not closes_at then return nil end
  if closes_at <= math.max(now, opens_at or now) then return { field = 'closesAt', now = now } end
  local length = opens_at and closes_at - opens_at
  if length and (length < SALE_DURATION_MIN_MS or length > SALE_DURATION_MAX_MS) then
    return { field = 'closesAt', lengthMs = length, minMs = SALE_DURATION_MIN_MS, maxMs = SALE_DURATION_MAX_MS }
  end
  return nil
end

local live_delta -- change of the number of sales that are not over
each_call(function() live_delta = 0 end)

local function open_sale(sale, actor, key)
  sale.state, sale.openedAt = 'open', now
  if not sale.opensAt or sale.opensAt > now then sale.opensAt = now end
  if sale.durationMs and not sale.closesAt then sale.closesAt = sale.opensAt + sale.durationMs end
  due_clear[#due_clear + 1] = 'o:' .. sale.id
  due_set['o:' .. sale.id] = nil
  if sale.closesAt then due_set['c:' .. sale.id] = sale.closesAt end
  enter('sale', sale.id, false, false, actor, key, 'open')
  announce_sale(sale, 'sale.opened')
end

local function end_sale(sale, state, actor, key)
  sale.state, sale.endedAt = state, now
  due_clear[#due_clear + 1] = 'o:' .. sale.id
  due_clear[#due_clear + 1] = 'c:' .. sale.id
  due_set['o:' .. sale.id], due_set['c:' .. sale.id] = nil, nil
  live_delta = live_delta - 1
  enter('sale', sale.id, false, false, actor, key, state)
  announce_sale(sale, 'sale.' .. state)
end

-- A sale opens and closes by time whether or not anybody swept: every script that looks at one
-- looks through this.
local function sale_at_now(id)
  local sale = sale_of(id)
  if not sale then return false end
  if sale.state == 'scheduled' and sale.opensAt <= now then open_sale(sale, 'time', '') end
  if (sale.state == 'open' or sale.state == 'paused') and sale.closesAt and sale.closesAt <= now then end_sale(sale, 'ended', 'time', '') end
  return sale
end

local COLON = 58
local function is_moment(member) return string.byte(member, 2) == COLON end

local function sweep(slice)
  -- Mostly nothing is due, and the first member tells so for a fifth of what a range by score
  -- costs.
  local first = call('ZRANGE', K.due, 0, 0, 'WITHSCORES')
  if #first == 0 or tonumber(first[2]) > now then return 0 end
  local members = call('ZRANGE', K.due, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, slice)
  local ids = {}
  for i = 1, #members do
    if not is_moment(members[i]) then ids[#ids + 1] = members[i] end
  end
  fetch(K.reservations, reservations, ids)
  local users = {}
  for i = 1, #ids do
    local r = reservation_of(ids[i])
    if r then users[#users + 1] = r[R_USER] end
  end
  fetch(K.buyers, buyers, users)
  for i = 1, #members do
    local member = members[i]
    due_clear[#due_clear + 1] = member
    if not is_moment(member) then
      local r = reservation_of(member)
      if r and r[R_STATE] == 'held' then end_hold(r, 'expired', AVAILABLE, 'expire', 'time', '', 'deadline') end
    elseif string.sub(member, 1, 1) == 'w' then
      local line = string.sub(member, 3)
      local slash = string.find(line, '/', 1, true)
      units_came_free(string.sub(line, 1, slash - 1), string.sub(line, slash + 1))
      going_on[line] = true
    else
      sale_at_now(string.sub(member, 3))
    end
  end
  -- Before anybody new is judged: what came back belongs to the line.
  serve_lines()
  return #members
end
