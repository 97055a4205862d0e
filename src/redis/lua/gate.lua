-- gate: a node reports the refusals it gave from its local view in the last second, so that the
-- ledger accounts for every answer.
-- ARGV[2]: {node, at, array of {sale, code, count, offset of the newest event the view had applied,
-- its revision}}. Returns {'ok'}. Ledger: gate.

for i = 1, #args[3] do
  local report = args[3][i]
  enter('gate', report[1], false, false, args[1], '', report[2], false, { at = args[2], count = report[3], offset = report[4], rev = report[5] })
end
if #ledger > 0 then call('XADD', K.ledger, '*', 'e', table.concat(ledger)) end
return { 'ok' }
