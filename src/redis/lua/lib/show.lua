-- show: the show that a script works on: its keys, its header, the clock.
-- Exports Show.keys, now, run_id, epoch, state, offset, rev, recovering, has_erased, format,
-- read_clock, try, refuse, read, check_format, must_migrate, open, publish, int.
-- @include limits
local call, floor, format, struct_pack = redis.call, math.floor, string.format, struct.pack
-- A server without acl_check_cmd cannot say in advance that it will refuse to publish, and the
-- change is already written then. Nodes find the gap in the revisions.
local publish = redis.acl_check_cmd and redis.call or redis.pcall
local find, byte, sub, unpack_record = string.find, string.byte, string.sub, cmsgpack.unpack
local FORMAT = Limits.showFormat
local CURRENT = tostring(FORMAT)
local TILDE = 126
local K = {}
local Show = { keys = K }
local keeps_format -- a process lives that needs the format before (formats.ts)

function Show.each_call(keys, argv)
  K.show, K.products, K.sales, K.stock, K.reservations, K.buyers, K.due, K.log, K.ledger, K.chat, K.idem, K.idem_old,
    K.nodes, K.waitlist, K.channel, K.removed, K.mutes, K.uniques, K.rewrite,
    K.orders = unpack(keys)
  Show.now, keeps_format = nil, byte(argv[1]) == TILDE
  Show.run_id = keeps_format and sub(argv[1], 2) or argv[1]
  Show.epoch, Show.state, Show.offset, Show.rev, Show.recovering, Show.has_erased = nil, nil, nil, nil, nil, nil
  Show.format = FORMAT
end

-- Sets Show.now. The library calls it at the start if a file of the script uses Show.now.
function Show.read_clock()
  local time = call('TIME')
  Show.now = time[1] * 1000 + floor(time[2] / 1000)
  return Show.now
end

-- States of a show that is closed, and the code of each (archive.lua). Nothing changes a show while
-- it is archived, but it can be read. It has no run id: release 0.1.0 takes it for a missing one.
local CLOSED = { archiving = 'show_archived', archived = 'show_archived', deleting = 'show_not_found' }

-- What a record or key causes that the engine has not written; the last two are of XADD.
local DAMAGES = { 'cannot be read', 'WRONGTYPE', 'specified in XADD', 'last possible ID' }

local function is_damage(reason)
  for i = 1, #DAMAGES do
    if find(reason, DAMAGES[i], 1, true) then return true end
  end
  return false
end

local function only_unreadable(is_read, found, ...)
  -- Another error of Redis ends the call: after the first write it must not be swallowed.
  if not is_read and not is_damage(type(found) == 'table' and found.err or tostring(found)) then error(found) end
  return is_read, found, ...
end

-- Calls a function that only reads, or one command. Returns false if a record or key cannot be
-- read, or a stream has a foreign entry with a higher id; otherwise true and its results.
function Show.try(read_records, ...) return only_unreadable(pcall(read_records, ...)) end

-- Stops a call that needs a record which cannot be read: before its first write, as all records are
-- read first. redis/script-runner.ts logs the key.
local function refuse(key, field)
  error({ err = 'ERR ' .. key .. ' ' .. field .. ' cannot be read' })
end
Show.refuse = refuse

-- Returns the table that is packed in a field of a hash. `is_valid`: whether it is such a record.
function Show.read(key, field, packed, is_valid)
  local is_packed, record = pcall(unpack_record, packed)
  if not is_packed or type(record) ~= 'table' or (is_valid and not is_valid(record)) then refuse(key, field) end
  return record
end

-- Reads the number of the format in the header: what this call may write ("Formats" in
-- src/README.md). Returns an error reply if this release does not know it.
function Show.check_format(text)
  Show.format = tonumber(text or '0')
  if not Show.format then refuse(K.show, 'format') end
  if Show.format > FORMAT then return { 'format_newer' } end
end

-- Returns whether migrate.lua should bring the show to the format of this release first.
function Show.must_migrate() return Show.format < FORMAT and not keeps_format end

-- Reads the header. Returns an error reply if the show is missing, of a newer format, closed,
-- frozen, fenced, or to be migrated. Fenced: another Redis process wrote it last and may have lost
-- writes, so fence.lua must give it a new epoch first.
function Show.open(only_reads)
  local header = call('HMGET', K.show, 'run', 'epoch', 'state', 'offset', 'rev', 'recovering', 'erased', 'frozen',
    'format')
  local newer = header[9] ~= CURRENT and Show.check_format(header[9])
  if newer then return newer end
  local code = CLOSED[header[3]]
  if code then
    if not (only_reads and header[3] == 'archiving') then return { code } end
  else
    if not header[1] then return { 'show_not_found' } end
    if header[1] ~= Show.run_id then return { 'fenced' } end
  end
  -- It is read for an export (export.lua).
  if header[8] and not only_reads and Show.read_clock() < tonumber(header[8]) then return { 'frozen' } end
  if not only_reads and Show.must_migrate() then return { 'outdated' } end
  Show.epoch, Show.state, Show.offset, Show.rev = header[2], header[3], tonumber(header[4]), tonumber(header[5])
  if not (Show.offset and Show.rev) then refuse(K.show, 'offset, rev') end
  Show.recovering = header[6] == '1' -- no new holds until the books are verified against the ledger
  Show.has_erased = header[7] == '1' -- reservations may have lost the record of their buyer (erase.lua)
end

-- Publishes a relay message: kind, length of the head, head, body in one or two pieces.
function Show.publish(kind, head, body, more_body)
  publish('SPUBLISH', K.channel, kind .. struct_pack('>I4', #head) .. head .. body .. (more_body or ''))
end

-- Formats a whole number. tostring() would write 1.7e+12.
function Show.int(n) return format('%.0f', n) end

return Show
