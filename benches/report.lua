-- SPDX-License-Identifier: Apache-2.0
-- For wrk: sends a body when asked to (first argument: its size), and prints one line that a program can read.

function init(args)
    local size = tonumber(args[1] or "0")
    if size > 0 then
        wrk.method = "POST"
        wrk.body = string.rep("x", size)
        wrk.headers["Content-Type"] = "application/octet-stream"
    end
end

function done(summary, latency, _)
    local e = summary.errors
    io.write(string.format(
        "RESULT requests=%d us=%d p50=%d p99=%d bytes=%d errors=%d\n",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), summary.bytes,
        e.connect + e.read + e.write + e.status + e.timeout))
end
