#!lua flags=no-writes
-- audit: the live books together with the ledger position they stand at, in one step.
-- ARGV[2]: {}. Returns {'ok', last ledger id ('' = empty), {stock field, stock...}, {sale...}, rev}.
-- @include show

local last = call('XREVRANGE', K.ledger, '+', '-', 'COUNT', 1)
return { 'ok', last[1] and last[1][1] or '', call('HGETALL', K.stock), call('HVALS', K.sales), int(rev) }
