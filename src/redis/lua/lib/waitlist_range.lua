-- waitlist_range: the members of one SKU in the show's waitlist: one sorted set, all scores 0,
-- members `sale/sku/<16 digits: order of joining>/user`, so a range by name is in order.
-- Exports WaitlistRange.first, last.
return {
  first = function(sale_id, sku) return '[' .. sale_id .. '/' .. sku .. '/' end,
  -- '0' is the character after '/'.
  last = function(sale_id, sku) return '(' .. sale_id .. '/' .. sku .. '0' end,
}
