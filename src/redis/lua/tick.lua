-- tick: does what time made due in a show, one slice: opens and ends sales, expires holds.
-- Idempotent.
-- ARGV[2]: {mayRest = true: also look whether nothing can become due without a command of the
-- host}.
-- Returns {'ok', next due, number done, 1 if the show needs more ticks, 1 while recovering}.
-- @include show books due commit limits
local call = redis.call
local K = Show.keys

local function has_open_sale()
  for _, sale in ipairs(Books.readable_sales()) do
    if sale.state == 'open' then return true end
  end
  return false
end

-- Holds begin in open sales only. Drafts wait for their host, scheduled sales for their moment.
local function can_rest(next_due)
  if Show.recovering or (next_due ~= '' and tonumber(next_due) <= Show.now + Limits.restAheadMs) then return false end
  return not has_open_sale()
end

return function(args)
  local done, next_due = Due.sweep(), Commit.write()
  local live_sales = tonumber(call('HGET', K.show, 'live_sales') or '0')
  local is_live = (next_due ~= '' or live_sales > 0) and not (args.mayRest and can_rest(next_due))
  return { 'ok', next_due, done, is_live and 1 or 0, Show.recovering and 1 or 0 }
end
