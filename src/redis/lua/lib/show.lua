-- Names the keys that every script of a show is given, reads the clock, the arguments and the show, and refuses
-- a missing show or one that another Redis process wrote last (ARGV[1], the server's run id): that server may have lost
-- writes, so the show gets a new epoch first (fence.lua).
local K = {
  show = KEYS[1], products = KEYS[2], sales = KEYS[3], stock = KEYS[4], reservations = KEYS[5], buyers = KEYS[6],
  due = KEYS[7], log = KEYS[8], ledger = KEYS[9], chat = KEYS[10], idem = KEYS[11], idem_old = KEYS[12],
  nodes = KEYS[13], waitlist = KEYS[14], waiters = KEYS[15], channel = KEYS[16],
  removed = KEYS[17], mutes = KEYS[18], uniques = KEYS[19],
}
local call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack
local run_id = ARGV[1]
local args = cmsgpack.unpack(ARGV[2])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- tostring() would write 1.7e+12
local function int(n) return string.format('%.0f', n) end

local show = call('HMGET', K.show, 'run', 'epoch', 'state', 'offset', 'rev', 'recovering')
if not show[1] then return { 'show_not_found' } end
if show[1] ~= run_id then return { 'fenced' } end
local epoch, show_state, offset, rev = show[2], show[3], tonumber(show[4]), tonumber(show[5])
-- Another server wrote last and the books are being held against the ledger: no new holds until that is done.
local recovering = show[6] == '1'
