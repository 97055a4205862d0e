-- Where the line for a SKU begins and ends in the show's waitlist: '0' is the character after '/'.
local function line_from(sale_id, sku) return '[' .. sale_id .. '/' .. sku .. '/' end
local function line_to(sale_id, sku) return '(' .. sale_id .. '/' .. sku .. '0' end
