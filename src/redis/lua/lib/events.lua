-- events: numbered events of the show's log; commit.lua writes them.
-- Exports Events.list ({offset, packed event} in order), append, emit.
-- @include show
local pack = cmsgpack.pack
local Events = {}

function Events.each_call() Events.list = {} end

function Events.append(kind, packed_data)
  Show.offset = Show.offset + 1
  local list = Events.list
  list[#list + 1] = { Show.offset, pack(Show.offset) .. pack(Show.now) .. pack(kind) .. packed_data }
end

function Events.emit(kind, data) Events.append(kind, pack(data)) end

return Events
