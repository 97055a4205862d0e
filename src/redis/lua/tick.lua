-- tick: does what time made due in a show, one slice: opens and ends sales, expires holds.
-- Idempotent.
-- ARGV[2]: {}.
-- Returns {'ok', next due, number done, 1 if any sale is not over or anything is due, 1 while
-- recovering}.
-- @include show due commit
return function()
  local done, next_due = Due.sweep(), Commit.write()
  local live_sales = tonumber(redis.call('HGET', Show.keys.show, 'live_sales') or '0')
  return { 'ok', next_due, done, (next_due ~= '' or live_sales > 0) and 1 or 0, Show.recovering and 1 or 0 }
end
