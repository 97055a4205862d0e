-- Mutes for every node to know: {user, until}; until 0 lifts one. Viewers are not told.
local mutes
each_call(function() mutes = {} end)

-- Writes everything the script decided, appends ledger and events, and publishes, in one go.
-- Nothing below can fail for a reason of
-- ours: types are known and Redis refuses a script up front when it is out of memory or read-only.
local function note_sold_out()
  for id in pairs(touched) do
    local sale = sale_of(id)
    if sale and (sale.state == 'open' or sale.state == 'paused') then
      local empty, free = false, false
      for sku in pairs(touched[id]) do
        if stock_of(id, sku)[AVAILABLE] == 0 then empty = true else free = true end
      end
      if sale.soldOut and free then
        sale.soldOut = nil
        announce_sale(sale, 'sale.stocked')
      elseif not sale.soldOut and empty and not free then
        local view = sale_view(sale)
        local left = 0
        for i = 1, #view.skus do left = left + view.skus[i].left end
        if left == 0 then
          sale.soldOut = true
          announce_sale(sale, 'sale.sold_out')
        end
      end
    end
  end
end

-- What nobody looked into is still as it was read or made.
local function packed(record) return type(record) == 'string' and record or pack(record) end

local function write_hash(key, pairs_flat)
  for from = 1, #pairs_flat, 4000 do
    call('HSET', key, unpack(pairs_flat, from, math.min(from + 3999, #pairs_flat)))
  end
end

-- One key of one actor is one command of a show, of whatever kind: bodies say which (also read by
-- redis/running.ts).
local function command_field(actor, key) return actor .. '\0' .. key end

-- Keys live in two generations that rotate after a day: a record stays between 24 and 48 hours.
local function remember(field, body, answer, ttl_ms)
  local since = tonumber(call('HGET', K.show, 'idem_since') or '0')
  if now - since > ttl_ms then
    call('UNLINK', K.idem_old)
    if call('EXISTS', K.idem) == 1 then call('RENAME', K.idem, K.idem_old) end
    call('HSET', K.show, 'idem_since', int(now))
  end
  call('HSET', K.idem, field, pack({ body, answer }))
end

-- Answers the recorded answer of a key, 'conflict' when its body differs, or nil.
local function recall(field, body)
  local raw = call('HGET', K.idem, field) or call('HGET', K.idem_old, field)
  if not raw then return nil end
  local record = unpack_record(raw)
  if record[1] ~= body then return 'conflict' end
  return record[2]
end

local function patch_of(id)
  local sale, left = sale_of(id), {}
  for sku in pairs(touched[id]) do left[sku] = stock_of(id, sku)[AVAILABLE] end
  return { id, sale.state, sale.opensAt or 0, sale.closesAt or 0, left }
end

local function commit()
  serve_lines()
  end_run()
  note_sold_out()
  local flat, records, sizes, n = {}, {}, {}, 0
  for _, ids in ipairs({ changed, made }) do
    for i = 1, #ids do
      local id = ids[i]
      local record = packed(reservations[id])
      local m = #records + 1
      records[m], sizes[m] = record, #record
      flat[n + 1], flat[n + 2] = id, record
      n = n + 2
    end
  end
  write_hash(K.reservations, flat)

  flat, n = {}, 0
  for user in pairs(dirty_buyers) do
    flat[n + 1], flat[n + 2] = user, packed(buyers[user])
    n = n + 2
  end
  write_hash(K.buyers, flat)

  flat, n = {}, 0
  for field, books in pairs(dirty_stock) do
    flat[n + 1], flat[n + 2] = field, pack(books)
    n = n + 2
  end
  write_hash(K.stock, flat)

  flat, n = {}, 0
  for id, sale in pairs(dirty_sales) do
    flat[n + 1], flat[n + 2] = id, pack(sale)
    n = n + 2
  end
  write_hash(K.sales, flat)

  if #due_clear > 0 then call('ZREM', K.due, unpack(due_clear)) end
  flat, n = {}, 0
  for member, at in pairs(due_set) do
    flat[n + 1], flat[n + 2] = int(at), member
    n = n + 2
  end
  for _, pairs_flat in ipairs({ flat, due_new }) do
    for from = 1, #pairs_flat, 4000 do call('ZADD', K.due, unpack(pairs_flat, from, math.min(from + 3999, #pairs_flat))) end
  end

  if #ledger > 0 then call('XADD', K.ledger, '*', 'e', table.concat(ledger)) end

  local next_due = call('ZRANGE', K.due, 0, 0, 'WITHSCORES')[2]
  local patches = {}
  for id in pairs(touched) do patches[#patches + 1] = patch_of(id) end
  if #patches + #events + #records + #mutes > 0 then
    rev = rev + 1
    call('HSET', K.show, 'rev', int(rev), 'offset', int(offset))
    if live_delta ~= 0 then call('HINCRBY', K.show, 'live_sales', live_delta) end
    local parts = {}
    for i = 1, #events do
      call('XADD', K.log, 'MAXLEN', '~', LOG_ENTRIES_MAX, int(events[i][1]) .. '-0', 'e', events[i][2])
      parts[i] = events[i][2]
    end
    for i = 1, #records do parts[#parts + 1] = records[i] end
    local head = pack({ rev, epoch, now, #events, tonumber(next_due or '0'), patches, sizes, mutes, origin, #made })
    call('SPUBLISH', K.channel, 'c' .. struct.pack('>I4', #head) .. head .. table.concat(parts))
  end
  return next_due or ''
end
