-- recover: what a show does after another server took over. 'pause': open sales pause, visibly.
-- 'resume': books verified, they go on, except sales that cannot be trusted. Both may be repeated.
-- ARGV[2]: {op = 'pause' | 'resume', untrusted = array of sale ids, repaired, violations}. Returns
-- {'ok', next due}.
-- Events: sale.paused, sale.resumed, show.recovered. Ledger: sale.

if recovering then
  local records = call('HVALS', K.sales)
  local untrusted = {}
  for i = 1, #(args.untrusted or {}) do untrusted[args.untrusted[i]] = true end
  for i = 1, #records do
    local sale = sale_at_now(unpack_record(records[i]).id)
    if args.op == 'pause' and sale.state == 'open' then
      sale.state, sale.recovering = 'paused', true
      enter('sale', sale.id, false, false, 'recovery', '', 'paused')
      announce_sale(sale, 'sale.paused')
    elseif args.op == 'resume' and sale.recovering then
      sale.recovering = nil
      if sale.state == 'paused' and not untrusted[sale.id] then
        sale.state = 'open'
        enter('sale', sale.id, false, false, 'recovery', '', 'open')
        announce_sale(sale, 'sale.resumed')
        for j = 1, #sale.skus do units_came_free(sale.id, sale.skus[j]) end
      else
        save_sale(sale)
        -- Resumed by its host meanwhile: what came free then waits for the line until now.
        if sale.state == 'open' then
          for j = 1, #sale.skus do units_came_free(sale.id, sale.skus[j]) end
        end
      end
    end
  end
  if args.op == 'resume' then
    recovering = false
    call('HDEL', K.show, 'recovering')
    emit('show.recovered', { epoch = epoch, untrusted = args.untrusted, repaired = args.repaired, violations = args.violations })
  end
end
return { 'ok', commit() }
