#!lua flags=no-writes,allow-stale
-- Figures of sessions for Prometheus, by a stock redis_exporter (https://github.com/oliver006/redis_exporter):
--
--     redis_exporter -redis.user monitor -config-command - -script redis_exporter.lua
--
-- Each is one metric, redis_script_values{key="created"} and so on: all of SESSION.STATS, and of SESSION.KEYS whether
-- the keys come from a file, whether that file has changed since it was read, and whether one of them can sign.
-- The exporter asks INFO for no field that it does not know, and takes nothing from a script but names and texts.

local values = {}

local function add(name, value)
    values[#values + 1] = name
    values[#values + 1] = string.format('%.0f', value)
end

local stats = redis.call('SESSION.STATS')
for i = 1, #stats, 2 do
    add(stats[i], stats[i + 1])
end

local function as_map(reply)
    local map = {}
    for i = 1, #reply, 2 do
        map[reply[i]] = reply[i + 1]
    end
    return map
end

local key_ring = as_map(redis.call('SESSION.KEYS'))
add('keys_from_file', key_ring.file and 1 or 0)
add('keys_file_changed', key_ring.file_changed)
add('keys_can_sign', key_ring.active_kid and 1 or 0)

return values
