-- access: refuses a call before its first write if its user may not run a command that it still
-- needs: Redis would refuse that command after a part of the change. What has run in this call is
-- allowed, and so is the command of the first write. Redis has checked all keys, as they are
-- declared.
-- Exports Access.need (checks one command), all (checks every command of the script).
-- @include show
local K = Show.keys
local may = redis.acl_check_cmd -- missing on some servers that are compatible with Redis
local Access = {}
local need_all, is_checked

-- The library knows the commands of each script.
function Access.each_call(need_each) need_all, is_checked = need_each, false end

-- `count`: how many arguments a valid call has at least.
local function need(command, count)
  if is_checked then return end
  local key, is_allowed = command == 'SPUBLISH' and K.channel or K.show, nil
  if count == 2 then
    is_allowed = may(command, key, key)
  elseif count == 3 then
    is_allowed = may(command, key, key, key)
  elseif count == 4 then
    is_allowed = may(command, key, key, key, key)
  else
    is_allowed = may(command, key)
  end
  if not is_allowed then
    local name = string.lower(command)
    error({ err = "NOPERM this user has no permissions to run the '" .. name .. "' command on " .. key })
  end
end
Access.need = may and need or function() end

function Access.all()
  if is_checked then return end
  need_all(Access.need)
  is_checked = true
end

return Access
