-- refusals: refused requests of one script call, summed by sale and code. An entry of the ledger:
-- {'gate', sale, false, false, 'user', '', code, false, {at, count, samples}}; sale '' = a sale
-- that does not exist. Release 0.1.0 reads it like an entry of gate.lua. A sample is a complete
-- request: {reservation, user, sale, items, key, details}. "Refusals are summed" in src/README.md
-- says how many there are. A show of format 0 gets what release 0.1.0 wrote: one 'refuse' entry for
-- each request.
-- Exports Refusals.add, append, save_budget.
-- @include fields show access books ledger limits
local call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack
local floor, min, max = math.floor, math.min, math.max
local R = Fields.reservation
local K = Show.keys
local FIELD = 'refusal_samples' -- {bytes that samples may still have, the time of that}
local DETAILS_BYTES = 64
local Refusals = {}
local NOTHING = {}
local sums, in_order, budget, is_sampled

function Refusals.each_call() sums, in_order, budget, is_sampled = nil, NOTHING, nil, false end

-- Returns whether the show's budget has these bytes, and takes them.
local function takes(bytes)
  if not budget then
    local packed, burst = call('HGET', K.show, FIELD), Limits.refusalSampleBurstBytes
    local left, at = burst, Show.now
    local is_packed, known = pcall(unpack_record, packed)
    local is_budget = is_packed and type(known) == 'table' and tonumber(known[1]) and tonumber(known[2])
    if is_budget then left, at = known[1], known[2] end
    -- A clock that was set back adds nothing.
    local added = max(0, Show.now - at) * Limits.refusalSampleBytesPerSecond / 1000
    budget = min(burst, floor(left + added))
  end
  if budget < bytes then return false end
  budget, is_sampled = budget - bytes, true
  return true
end

local function sample_of(request, details)
  local items, asked = {}, request[R.ITEMS]
  for i = 1, #asked, 2 do items[#items + 1] = { asked[i], asked[i + 1] } end
  return { request[R.ID], request[R.USER], request[R.SALE], items, request[R.KEY], details }
end

-- `bytes`: the size of the packed request.
function Refusals.add(request, bytes, code, details)
  if Show.format == 0 then
    local id, user, sale, items, key = unpack(sample_of(request))
    return Ledger.append('refuse', sale, id, user, 'user', key, code, items, details)
  end
  local sale_id = Books.sale_of(request[R.SALE]) and request[R.SALE] or ''
  local name = code .. '/' .. sale_id
  if not sums then sums, in_order = {}, {} end
  local sum = sums[name]
  if not sum then
    sum = { sale = sale_id, code = code, count = 0, samples = {} }
    sums[name], in_order[#in_order + 1] = sum, sum
  end
  local samples = sum.samples
  sum.count = sum.count + 1
  if #samples < Limits.refusalSamplesPerCallMax and takes(bytes + DETAILS_BYTES) then
    samples[#samples + 1] = sample_of(request, details)
  end
end

-- Appends the sums after the last decision. What refused a request of this call still holds there:
-- units only become fewer between two decisions, and holds more.
function Refusals.append()
  if is_sampled then Access.need('HSET', 3) end
  for i = 1, #in_order do
    local sum = in_order[i]
    local extra = { at = Show.now, count = sum.count, samples = sum.samples }
    Ledger.append('gate', sum.sale, false, false, 'user', '', sum.code, false, extra)
  end
end

-- Stores what is left of the budget, after the commit.
function Refusals.save_budget()
  if is_sampled then call('HSET', K.show, FIELD, pack({ budget, Show.now })) end
end

return Refusals
