-- How every function of the library begins: its keys by name, the clock, the arguments, and the
-- show. The library is loaded once and its functions are called many times; what one call learned
-- must not reach the next, so each part says in each_call() what its variables begin with.
local K = {}
local call, run_id, args, now
local epoch, show_state, offset, rev
local recovering -- another server wrote last and the books are being held against the ledger: no new holds until that is done
local pack, unpack_record
-- tostring() would write 1.7e+12
local function int(n) return string.format('%.0f', n) end

local BEGINNINGS = {}
local function each_call(begins) BEGINNINGS[#BEGINNINGS + 1] = begins end

local function begin(keys, argv)
  K.show, K.products, K.sales, K.stock, K.reservations, K.buyers, K.due, K.log, K.ledger, K.chat, K.idem, K.idem_old,
    K.nodes, K.waitlist, K.waiters, K.channel, K.removed, K.mutes, K.uniques = unpack(keys)
  -- Not there yet while the library is loaded.
  call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack
  run_id, args = argv[1], unpack_record(argv[2])
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  for i = 1, #BEGINNINGS do BEGINNINGS[i]() end
end

-- Answers why the show cannot be worked on: it is missing, or another Redis process wrote it last
-- (run_id is the server's). That server may have lost writes, so the show gets a new epoch first
-- (fence.lua).
local function open_show()
  local show = call('HMGET', K.show, 'run', 'epoch', 'state', 'offset', 'rev', 'recovering')
  if not show[1] then return { 'show_not_found' } end
  if show[1] ~= run_id then return { 'fenced' } end
  epoch, show_state, offset, rev = show[2], show[3], tonumber(show[4]), tonumber(show[5])
  recovering = show[6] == '1'
end
