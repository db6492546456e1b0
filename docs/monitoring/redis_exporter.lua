#!lua flags=no-writes,allow-stale
-- Figures of sessions for Prometheus, by a stock redis_exporter (https://github.com/oliver006/redis_exporter):
--
--     redis_exporter -redis.user monitor -config-command - -script redis_exporter.lua
--
-- Each is one metric, redis_script_values{key="created"} and so on: all of SESSION.STATS, and of SESSION.KEYS whether
-- the keys come from a file, whether that file has changed since it was read, and whether one of them can sign. Of the
-- audit stream: its length, the entries that its slowest group of readers has not read yet, how many more can be added
-- until that group loses some, and how many it has lost. All 0 without a stream, or where it is on another node of a
-- cluster.
-- The exporter asks INFO for no field that it does not know, and takes nothing from a script but names and texts.

-- The name that session.audit-stream has.
local audit_stream = 'audit'

local values = {}

local function add(name, value)
    values[#values + 1] = name
    values[#values + 1] = string.format('%.0f', value)
end

local audit_maxlen = 0
local stats = redis.call('SESSION.STATS')
for i = 1, #stats, 2 do
    add(stats[i], stats[i + 1])
    if stats[i] == 'audit_maxlen' then
        audit_maxlen = stats[i + 1]
    end
end

-- Its readers. A reply that is an error, or nothing, counts as none.
local function of_audit(...)
    local reply = redis.pcall(...)
    if type(reply) == 'table' and reply.err then
        return nil
    end
    return reply
end

local function as_map(reply)
    local map = {}
    for i = 1, #reply, 2 do
        map[reply[i]] = reply[i + 1]
    end
    return map
end

local stream = as_map(of_audit('XINFO', 'STREAM', audit_stream) or {})
local length = stream['length'] or 0
local lag = 0
for _, group in ipairs(of_audit('XINFO', 'GROUPS', audit_stream) or {}) do
    group = as_map(group)
    -- From Redis 8 on the server's own `lag` leaves out what was dropped unread.
    local read = group['entries-read']
    local behind = read and stream['entries-added'] - read or group['lag'] or 0
    lag = math.max(lag, behind)
end
add('audit_length', length)
add('audit_lag', lag)
add('audit_headroom', math.max(audit_maxlen - lag, 0))
add('audit_lost', math.max(lag - length, 0))

local key_ring = as_map(redis.call('SESSION.KEYS'))
add('keys_from_file', key_ring.file and 1 or 0)
add('keys_file_changed', key_ring.file_changed)
add('keys_can_sign', key_ring.active_kid and 1 or 0)

return values
