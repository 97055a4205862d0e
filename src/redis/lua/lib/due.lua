-- due: does what time made due in a show. The sorted set `due` holds the moments: o:<sale> opens,
-- c:<sale> closes, s:<sale> says whether it is sold out, w:<sale>/<sku> continues to serve a
-- waitlist; a reservation id (which has no colon) expires. Every mutating script does what is due
-- first, in order, at most one slice a call. Repeating it changes nothing.
-- Exports Due.sweep.
-- @include fields show books holds waitlist sales limits
local call, byte, sub, find = redis.call, string.byte, string.sub, string.find
local K = Show.keys
local R = Fields.reservation
local USER, SALE, STATE, ITEMS = R.USER, R.SALE, R.STATE, R.ITEMS
local COLON = 58
local Due = {}

local function is_moment(member) return byte(member, 2) == COLON end

-- Reads all that a due member needs.
local function read_all(member)
  if not is_moment(member) then
    local r = Books.reservation_of(member)
    if not r then return end
    local sale, items = Books.sale_of(r[SALE]), r[ITEMS]
    Books.buyer_of(r[USER])
    for i = 1, sale and #items or 0, 2 do Books.stock_of(sale.id, items[i]) end
  elseif sub(member, 1, 1) == 'w' then
    Books.whole_sale(sub(member, 3, find(member, '/', 1, true) - 1))
  else
    Books.whole_sale(sub(member, 3))
  end
end

-- Returns how many members were due.
function Due.sweep()
  -- Usually nothing is due, and reading the first member costs a fifth of a range by score.
  local head = call('ZRANGE', K.due, 0, 0, 'WITHSCORES')
  if #head == 0 or tonumber(head[2]) > Show.now then
    Books.due_head = head
    return 0
  end
  local members = call('ZRANGE', K.due, '-inf', Show.int(Show.now), 'BYSCORE', 'LIMIT', 0, Limits.sweepSliceMax)
  local ids, users = {}, {}
  for i = 1, #members do
    if not is_moment(members[i]) then ids[#ids + 1] = members[i] end
  end
  Books.fetch(K.reservations, Books.reservations, ids)
  for i = 1, #ids do
    local is_read, r = Show.try(Books.reservation_of, ids[i])
    if is_read and r then users[#users + 1] = r[USER] end
  end
  Books.fetch(K.buyers, Books.buyers, users)
  for i = 1, #members do
    local member = members[i]
    local is_read = Show.try(read_all, member)
    if is_read then Books.due_clear[#Books.due_clear + 1] = member end
    if not is_read then
      -- Later: an unreadable record must not hold up the other sales of the show.
      Books.due_set[member] = Show.now + Limits.unreadableDueRetryMs
    elseif not is_moment(member) then
      local r = Books.reservation_of(member)
      if r and r[STATE] == 'held' then Holds.finish(r, 'expired', 'expire', 'time', '', 'deadline') end
    elseif sub(member, 1, 1) == 'w' then
      local slash = find(member, '/', 1, true)
      Waitlist.continue(sub(member, 3, slash - 1), sub(member, slash + 1))
    else
      Sales.current(sub(member, 3))
      if sub(member, 1, 1) == 's' then Sales.check_sold_out(sub(member, 3)) end
    end
  end
  -- Before new requests are decided: freed units belong to the waitlist.
  Waitlist.serve()
  return #members
end

return Due
