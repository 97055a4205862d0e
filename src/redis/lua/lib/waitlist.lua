-- waitlist: buyers who wait for a sold-out SKU. Freed units become holds (offers) for the first of
-- them in the script that freed the units.
-- Exports Waitlist.size, has_priority, leave, continue, serve.
-- @include fields show access books ledger holds waitlist_range limits
local call, sub = redis.call, string.sub
local K = Show.keys
local AVAILABLE, WAITS = Fields.stock.AVAILABLE, Fields.buyer.WAITS
local first, last = WaitlistRange.first, WaitlistRange.last
local Waitlist = {}
local has_more -- `sale/sku` -> true: more entries than one slice could serve, so new requests must wait
local continues -- `sale/sku` -> true: serving continues where the last slice ended
local entries_left -- how many waitlist entries this call may still look at, over all SKUs

function Waitlist.each_call() has_more, continues, entries_left = {}, {}, Limits.waitlistSliceMax end

function Waitlist.size(sale_id, sku)
  return call('ZLEXCOUNT', K.waitlist, first(sale_id, sku), last(sale_id, sku))
end

-- Returns whether the free units of a SKU belong to waitlist entries that are still to be served.
function Waitlist.has_priority(name)
  local result = has_more[name]
  if result == nil then
    result = call('ZSCORE', K.due, 'w:' .. name) ~= false
    has_more[name] = result
  end
  return result
end

local function leave(sale_id, sku, user, actor, key, reason)
  Access.all()
  Ledger.must_be_stream()
  local entry = Books.buyer_entry(user, sale_id)
  local wait = entry[WAITS][sku]
  call('ZREM', K.waitlist, wait[1])
  entry[WAITS][sku] = nil
  Ledger.append('leave', sale_id, wait[3], user, actor, key, reason, { { sku, wait[2] } })
end
Waitlist.leave = leave

-- Serves the next slice of a SKU in this call.
function Waitlist.continue(sale_id, sku)
  Books.units_freed(sale_id, sku)
  continues[Books.name_of(sale_id, sku)] = true
end

-- Returns a buyer's entry of a sale, their wait for a SKU, and whether it has become a hold.
local function wait_of(user, sale_id, sku)
  local buyer = Books.buyer_of(user)
  local entry = buyer and buyer[sale_id]
  local wait = entry and entry[WAITS][sku]
  return entry, wait, wait and Books.reservation_of(wait[3])
end

-- Offers free units in order, until this call has looked at `waitlistSliceMax` entries; the set of
-- deadlines has the SKUs that are left. An entry that wants more than is free is passed over, so
-- that no unit stays unsold; later freed units start again at the first entry.
local function serve_sku(sale, sku)
  local stock, name = Books.stock_of(sale.id, sku), Books.name_of(sale.id, sku)
  local cursor_field = 'line:' .. name -- the last member of the slice before; missing: none
  local cursor = continues[name] and call('HGET', K.show, cursor_field)
  continues[name], has_more[name] = nil, false
  if stock[AVAILABLE] == 0 or sale.state ~= 'open' or (sale.closesAt and sale.closesAt <= Show.now) then return end
  local from, slice = cursor and '(' .. cursor or first(sale.id, sku), entries_left
  local members = call('ZRANGE', K.waitlist, from, last(sale.id, sku), 'BYLEX', 'LIMIT', 0, slice + 1)
  local more = #members > slice
  if more then members[#members] = nil end
  entries_left = entries_left - #members
  local user_at = #name + 19 -- after '/', 16 digits, '/'
  local users = {}
  for i = 1, #members do users[i] = sub(members[i], user_at) end
  Books.fetch(K.buyers, Books.buyers, users)
  if #members > 0 or more then
    Access.all()
    Ledger.must_be_stream()
  end
  for i = 1, #members do
    if stock[AVAILABLE] == 0 then return end
    local user = users[i]
    local is_read, entry, wait, is_offered = Show.try(wait_of, user, sale.id, sku)
    -- An entry whose buyer cannot be read stays and is passed over.
    if is_read and (not wait or is_offered) then
      call('ZREM', K.waitlist, members[i])
    elseif is_read and wait[2] <= stock[AVAILABLE] then
      local template = Holds.template_of(sale, { sku, wait[2] })
      local over = Holds.over_limit(template, entry)
      leave(sale.id, sku, user, 'waitlist', '', over and 'limit' or 'offer')
      if not over then Holds.offer(template, wait[3], user, wait[5]) end
    end
  end
  if more and stock[AVAILABLE] > 0 then
    local last_member = members[#members] or cursor
    if last_member then call('HSET', K.show, cursor_field, last_member) else call('HDEL', K.show, cursor_field) end
    Books.due_set['w:' .. name] = Show.now
    has_more[name] = true
  end
end

-- Serves the waitlist of each SKU that has freed units. Offers free no units, so one pass is
-- enough.
function Waitlist.serve()
  local wanted = Books.to_serve
  if Show.recovering or next(wanted) == nil then return end
  Books.to_serve = {}
  if call('EXISTS', K.waitlist) == 0 then return end
  for _, pair in pairs(wanted) do
    local is_read, sale = Show.try(Books.whole_sale, pair[1])
    if is_read and sale and sale.state == 'open' then serve_sku(sale, pair[2]) end
  end
end

return Waitlist
