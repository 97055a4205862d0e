-- check: tries what the engine needs: which commands this user may run, one write, one message.
-- The keys are those of a show that does not exist.
-- ARGV[2]: {{word of a command...}..., nonce}.
-- Returns {'ok', {position of a refused command...}}; nothing is written if one is refused.
-- @include show
-- @options no-show
local call, acl_check_cmd = redis.call, redis.acl_check_cmd

local ARGUMENTS_MAX = 8

-- Redis 8 also wants as many arguments as the command takes; some of them are keys.
local function is_allowed(words)
  local known, allowed
  repeat
    known, allowed = pcall(acl_check_cmd, unpack(words))
    words[#words + 1] = words[2]
  until known or not words[2] or #words > ARGUMENTS_MAX
  return known and allowed
end

local function refused(commands)
  local positions = {}
  -- Without this function of Redis 7 the first use of each command shows it.
  for position, words in ipairs(acl_check_cmd and commands or {}) do
    if not is_allowed(words) then positions[#positions + 1] = position end
  end
  return positions
end

return function(args)
  local positions, nonce = refused(args[1]), args[2]
  if #positions == 0 then
    call('HSET', Show.keys.show, 'check', nonce)
    call('UNLINK', Show.keys.show)
    Show.publish('?', '', nonce)
  end
  return { 'ok', positions }
end
