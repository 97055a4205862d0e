-- waitlist_range: the members of one SKU in the show's waitlist: one sorted set, all scores 0,
-- members `sale/sku/<16 digits: order of joining>/user`, so a range by name is in order.
-- A slash in a SKU is the control character 31 here, which no SKU has: otherwise the range of A had
-- the members of A/B.
-- Exports WaitlistRange.name, first, last.
local gsub = string.gsub

-- Returns `sale/sku`, in as many bytes as Books.name_of.
local function name(sale_id, sku) return sale_id .. '/' .. (gsub(sku, '/', '\31')) end

return {
  name = name,
  first = function(sale_id, sku) return '[' .. name(sale_id, sku) .. '/' end,
  -- '0' is the character after '/'.
  last = function(sale_id, sku) return '(' .. name(sale_id, sku) .. '0' end,
}
