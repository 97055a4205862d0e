-- recover: pauses and resumes a show after another Redis process took over. 'pause': open sales
-- pause. 'resume': the books are verified, and sales resume unless they are untrusted. Both may be
-- repeated.
-- ARGV[2]: {op = 'pause' | 'resume', untrusted = array of sale ids, repaired, violations}.
-- Returns {'ok', next due}.
-- Events: sale.paused, sale.resumed, show.recovered. Ledger: sale.
-- @include show access books ledger events sales commit
local call = redis.call
local K = Show.keys

local function set_state(sale, state, kind)
  sale.state = state
  Ledger.append('sale', sale.id, false, false, 'recovery', '', state)
  Sales.announce(sale, kind)
end

local function pause(sale)
  if sale.state ~= 'open' then return end
  sale.recovering = true
  set_state(sale, 'paused', 'sale.paused')
end

local function resume(sale, is_untrusted)
  if not sale.recovering then return end
  sale.recovering = nil
  if sale.state == 'paused' and not is_untrusted then
    set_state(sale, 'open', 'sale.resumed')
  else
    Books.save_sale(sale)
  end
  -- Open: resumed here or by its host. Units freed meanwhile go to the waitlist.
  if sale.state == 'open' then
    for _, sku in ipairs(sale.skus) do Books.units_freed(sale.id, sku) end
  end
end

return function(args)
  if Show.recovering then
    local untrusted = {}
    for _, id in ipairs(args.untrusted or {}) do untrusted[id] = true end
    for _, known in ipairs(Books.readable_sales()) do
      local sale = Sales.current(known.id)
      if args.op == 'pause' then pause(sale) else resume(sale, untrusted[sale.id]) end
    end
    if args.op == 'resume' then
      Access.all()
      Ledger.check()
      Show.recovering = false
      call('HDEL', K.show, 'recovering')
      Events.emit('show.recovered', {
        epoch = Show.epoch, untrusted = args.untrusted, repaired = args.repaired, violations = args.violations,
      })
    end
  end
  return { 'ok', Commit.write() }
end
