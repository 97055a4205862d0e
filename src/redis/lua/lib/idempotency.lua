-- idempotency: results by key. One key of one actor names one command of the show, of any type. The
-- body decides whether it is the same command (redis/command-guard.ts reads the same fields).
-- Exports Idempotency.field_of, recall, rotates, remember, run.
-- @include show access due commit limits
local call, pack = redis.call, cmsgpack.pack
local K = Show.keys
local Idempotency = {}

local function field_of(actor, key) return actor .. '\0' .. key end

-- Records live in two generations that rotate after a day, so each stays for 24 to 48 hours.
-- Returns whether they rotate now; asked before the first write of a call.
local function rotates()
  local since = tonumber(call('HGET', K.show, 'idem_since') or '0')
  if Show.now - since <= Limits.idempotencyTtlMs then return false end
  Access.all()
  return true
end

local function remember(field, body, result, is_rotating)
  if is_rotating then
    call('UNLINK', K.idem_old)
    if call('EXISTS', K.idem) == 1 then call('RENAME', K.idem, K.idem_old) end
    call('HSET', K.show, 'idem_since', Show.int(Show.now))
  end
  call('HSET', K.idem, field, pack({ body, result }))
end

-- Returns the recorded result of a key, 'conflict' if its body differs, or nil.
local function recall(field, body)
  local packed = call('HGET', K.idem, field) or call('HGET', K.idem_old, field)
  if not packed then return nil end
  local record = Show.read(K.idem, field, packed)
  if record[1] ~= body then return 'conflict' end
  return record[2]
end

-- Runs a command {key, body, unrecorded, ...}: does what is due, then returns the recorded result
-- or decides, commits and records (not if `unrecorded`: a repeat is harmless). decide() returns '+'
-- and its value, or a code and details. With `result`, the value is what result() returns after the
-- commit. Returns the next due moment, '+' or '=' or a code, and the packed value or details.
function Idempotency.run(args, actor, decide, result)
  Due.sweep()
  local field = not args.unrecorded and field_of(actor, args.key)
  local recorded, tag, packed = field and recall(field, args.body), '=', nil
  if recorded == 'conflict' then
    tag, packed = 'idempotency_conflict', pack({ key = args.key })
  elseif recorded then
    packed = recorded
  else
    local value
    tag, value = decide(args)
    packed = pack(value)
  end
  local is_rotating = field and tag == '+' and rotates()
  local next_due = Commit.write()
  if tag == '+' then
    if result then packed = pack(result(args)) end
    if field then remember(field, args.body, packed, is_rotating) end
  end
  return next_due, tag, packed
end

Idempotency.field_of, Idempotency.recall = field_of, recall
Idempotency.rotates, Idempotency.remember = rotates, remember
return Idempotency
