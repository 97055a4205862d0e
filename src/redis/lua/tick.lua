-- tick: does what time made due in a show, one slice: opens and closes sales, lapses holds.
-- Idempotent.
-- ARGV[2]: {slice}. Returns {'ok', next due, done, 1 when the show has sales that are not over or
-- anything due, 1 while recovering}.

local done = sweep(args[1])
local next_due = commit()
local live_sales = tonumber(call('HGET', K.show, 'live_sales') or '0')
return { 'ok', next_due, done, (next_due ~= '' or live_sales > 0) and 1 or 0, recovering and 1 or 0 }
