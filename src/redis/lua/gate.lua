-- gate: a node reports its local refusals of the last second, so that the ledger has every refusal.
-- ARGV[2]: {node, at, array of {sale, code, count, offset of the newest event that the node had
-- applied, its revision}}. Returns {'ok'}. Ledger: gate.
-- @include ledger
return function(args)
  for i = 1, #args[3] do
    local report = args[3][i]
    local extra = { at = args[2], count = report[3], offset = report[4], rev = report[5] }
    Ledger.append('gate', report[1], false, false, args[1], '', report[2], false, extra)
  end
  Ledger.write()
  return { 'ok' }
end
