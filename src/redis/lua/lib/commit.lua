-- commit: writes what the script decided, appends ledger and events, and publishes, in one step.
-- Nothing here can fail for a reason of ours: types are known, permissions are checked first, and
-- Redis refuses a script before its first write when it is out of memory or read-only.
-- Exports Commit.mutes, write, reported.
-- @include fields show access books ledger events waitlist sales limits
local call, pack, type, concat, min = redis.call, cmsgpack.pack, type, table.concat, math.min
local K, int = Show.keys, Show.int
local AVAILABLE = Fields.stock.AVAILABLE
local VALUES_MAX = 4000 -- even; Lua's unpack() takes some 8,000
local Commit = {}
local is_logged

function Commit.each_call()
  Commit.mutes = {} -- {user, until}, for nodes only; until 0 ends a mute
  is_logged = true
end

-- Records that were fetched or made but not changed are still packed.
local function packed(record) return type(record) == 'string' and record or pack(record) end

local function write_hash(key, flat)
  for from = 1, #flat, VALUES_MAX do call('HSET', key, unpack(flat, from, min(from + VALUES_MAX - 1, #flat))) end
end

-- Writes the changed records of a hash: `changed` has their ids as keys.
local function write_records(key, changed, records)
  local flat, n = {}, 0
  for id in pairs(changed) do
    flat[n + 1], flat[n + 2] = id, packed(records[id])
    n = n + 2
  end
  write_hash(key, flat)
end

-- Returns the changed reservations, the new holds last: values for HSET, records, sizes.
local function changed_reservations()
  local flat, records, sizes, n = {}, {}, {}, 0
  for _, ids in ipairs({ Books.changed, Books.made }) do
    for i = 1, #ids do
      local record = packed(Books.reservations[ids[i]])
      local m = #records + 1
      records[m], sizes[m] = record, #record
      flat[n + 1], flat[n + 2] = ids[i], record
      n = n + 2
    end
  end
  return flat, records, sizes
end

-- Returns the first moment after this call. Usually it follows from the first one before the call.
local function next_due()
  local head, due_set = Books.due_head, Books.due_set
  local is_known = head and not (head[1] and due_set[head[1]])
  for i = 1, #Books.due_clear do is_known = is_known and Books.due_clear[i] ~= head[1] end
  if not is_known then
    -- What ends a show must not need it.
    local is_read, found = Show.try(call, 'ZRANGE', K.due, 0, 0, 'WITHSCORES')
    return is_read and found[2] or nil
  end
  local first, new = head[2], Books.due_new_first
  if new and (not first or tonumber(new) < tonumber(first)) then first = new end
  for _, at in pairs(due_set) do
    if not first or at < tonumber(first) then first = int(at) end
  end
  return first
end

local function write_due()
  if #Books.due_clear > 0 then call('ZREM', K.due, unpack(Books.due_clear)) end
  local flat, n = {}, 0
  for member, at in pairs(Books.due_set) do
    flat[n + 1], flat[n + 2] = int(at), member
    n = n + 2
  end
  for _, pairs_of in ipairs({ flat, Books.due_new }) do
    for from = 1, #pairs_of, VALUES_MAX do
      call('ZADD', K.due, unpack(pairs_of, from, min(from + VALUES_MAX - 1, #pairs_of)))
    end
  end
  return next_due()
end

local function sale_patches()
  local patches = {}
  for id, skus in pairs(Books.touched) do
    local sale, left = Books.sale_of(id), {}
    for sku in pairs(skus) do left[sku] = Books.stock_of(id, sku)[AVAILABLE] end
    patches[#patches + 1] = { id, sale.state, sale.opensAt or 0, sale.closesAt or 0, left }
  end
  return patches
end

-- Checks what follows the first write, which is HSET if a record has changed, or HDEL before it. A
-- refusal changes no record: its ledger entry is the only write.
local function check_access(is_commit)
  local has_records = is_commit and (next(Books.dirty_stocks) or next(Books.dirty_buyers) or next(Books.dirty_sales))
  local clears_due, sets_due = #Books.due_clear > 0, #Books.due_new > 0 or next(Books.due_set)
  if not (is_commit or clears_due or sets_due) then return end
  local need = Access.need
  if is_commit then
    if not has_records or Books.dropped[1] then need('HSET', 3) end
    if Sales.live_delta ~= 0 then need('HINCRBY', 3) end
    need('SPUBLISH', 2)
  end
  if clears_due then need('ZREM', 2) end
  if sets_due then need('ZADD', 3) end
  if not Books.due_head then need('ZRANGE', 3) end
  need('XADD', 4)
end

-- Returns the next due moment, '' if there is none.
function Commit.write()
  Waitlist.serve()
  Sales.update_sold_out()
  local flat, records, sizes = changed_reservations()
  local patches, events, mutes = sale_patches(), Events.list, Commit.mutes
  local is_commit = #patches + #events + #records + #mutes > 0
  check_access(is_commit)
  Ledger.check()
  write_hash(K.reservations, flat)
  write_records(K.buyers, Books.dirty_buyers, Books.buyers)
  if Books.dropped[1] then call('HDEL', K.stock, unpack(Books.dropped)) end
  write_records(K.stock, Books.dirty_stocks, Books.stocks)
  write_records(K.sales, Books.dirty_sales, Books.sales)
  local due = write_due()
  Ledger.write()
  if is_commit then
    Show.rev = Show.rev + 1
    call('HSET', K.show, 'rev', int(Show.rev), 'offset', int(Show.offset))
    if Sales.live_delta ~= 0 then call('HINCRBY', K.show, 'live_sales', Sales.live_delta) end
    local body = {}
    for i = 1, #events do
      -- All else is written: an event is published although the log cannot keep it, because it has
      -- another type, or an entry of another program with a higher id.
      local id = int(events[i][1]) .. '-0'
      is_logged = Show.try(call, 'XADD', K.log, 'MAXLEN', '~', Limits.eventLogEntriesMax, id, 'e', events[i][2])
        and is_logged
      body[i] = events[i][2]
    end
    for i = 1, #records do body[#body + 1] = records[i] end
    Show.publish('c', pack({
      Show.rev, Show.epoch, Show.now, #events, tonumber(due or '0'), patches, sizes, mutes, Books.origin, #Books.made,
    }), concat(body))
  end
  return due or ''
end

-- Returns the reply of a script. If the log did not take its events, the first word ends with '!',
-- and the last value is the key of the log. The loader calls it.
function Commit.reported(reply)
  if not is_logged then reply[1], reply[#reply + 1] = reply[1] .. '!', K.log end
  return reply
end

return Commit
