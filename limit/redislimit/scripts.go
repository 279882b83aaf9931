package redislimit

import "github.com/redis/go-redis/v9"

// take spends a unit of every key, or of none. A key's value is when its bucket is
// full, in microseconds since the beginning of 2026, which leaves a double five
// bits for fractions. A debt is never more than the time to fill: what a clock that
// went back leaves behind is written anew. It returns whether the call is
// allowed, and the debts in 1/32 µs.
var take = redis.NewScript(`
local t = redis.call('TIME')
local now = (tonumber(t[1]) - 1767225600) * 1000000 + tonumber(t[2])
local allowed, debts = 1, {}
local function owe(key, debt)
  redis.call('SET', key, string.format('%.5f', now + debt), 'PX', string.format('%.0f', math.ceil(debt / 1000)))
end
for i = 1, #KEYS do
  local cost, fill = tonumber(ARGV[2*i-1]), tonumber(ARGV[2*i])
  local full = tonumber(redis.call('GET', KEYS[i]) or now) or now
  debts[i] = math.max(full - now, 0)
  if not (debts[i] <= fill) then
    debts[i] = fill
    owe(KEYS[i], fill)
  end
  if debts[i] + cost > fill then allowed = 0 end
end
local reply = {allowed}
for i = 1, #KEYS do
  if allowed == 1 then
    debts[i] = debts[i] + tonumber(ARGV[2*i-1])
    owe(KEYS[i], debts[i])
  end
  reply[i+1] = debts[i] * 32
end
return reply
`)

// announce keeps a replica in the list and returns how many there are. It writes,
// so that it fails whenever take would.
var announce = redis.NewScript(`
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local ttl = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
redis.call('PEXPIRE', KEYS[1], ttl)
return redis.call('ZCARD', KEYS[1])
`)
