#!lua
-- fence: a show last written by another Redis process (restart, failover) may have lost its newest writes. It gets a new epoch, so that
-- clients take a snapshot instead of trusting old offsets, and accepts no new holds until recover.lua has seen its books verified. The first caller does it, others find it done.
-- ARGV[1]: run id of the server now. ARGV[2]: {epoch}. Returns {'ok', '+' or '=', epoch} or {'show_not_found'}.
local show_key, channel = KEYS[1], KEYS[16]
local args = cmsgpack.unpack(ARGV[2])
local known = redis.call('HMGET', show_key, 'run', 'epoch')
if not known[1] then return { 'show_not_found' } end
if known[1] == ARGV[1] then return { 'ok', '=', known[2] } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', show_key, 'run', ARGV[1], 'epoch', args[1], 'recovering', 1)
local rev = redis.call('HINCRBY', show_key, 'rev', 1)
local head = cmsgpack.pack({ rev, args[1], now, 0, 0, {}, {} })
redis.call('SPUBLISH', channel, 'c' .. struct.pack('>I4', #head) .. head)
return { 'ok', '+', args[1] }
