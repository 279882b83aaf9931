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

// share tells Redis of locks, and returns those that the caller has not read. KEYS
// are the locks, a sorted set by when they end, in milliseconds times 64, plus their
// level, so that those go first that end first; the same members in the order
// in which they changed; and the state: an epoch, the number of the last change,
// and the time of it. ARGV are the caller's epoch, the number of the last
// change that it read, an epoch that nobody used, how many to return, how many to
// keep, how long after their end, how much longer a lock must be to be
// another; then, for each lock, its member, level, and what is left in milliseconds.
// It returns the epoch, the number of the last change that it read now, and for each
// lock the same three.
//
// An epoch ends when something was lost: the keys, or what a server had not
// replicated, or the time. The callers then tell of all their locks again.
var share = redis.NewScript(`
local function int(v)
  local n = tonumber(v or nil)
  if n and n >= -9e15 and n <= 9e15 then return math.floor(n) end
end
local function text(n) return string.format('%.0f', n) end
local function typed(key, kind)
  local k = redis.call('TYPE', key).ok
  return k == kind or k == 'none'
end
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local locks, news, state = KEYS[1], KEYS[2], KEYS[3]
local cursor, fresh, page = int(ARGV[2]), ARGV[3], int(ARGV[4])
local most, kept, slack = int(ARGV[5]), int(ARGV[6]), int(ARGV[7])

local epoch, seq, at
if typed(locks, 'zset') and typed(news, 'zset') and typed(state, 'hash') then
  local s = redis.call('HMGET', state, 'epoch', 'seq', 'at')
  epoch, seq, at = s[1], int(s[2]), int(s[3])
end
if not (epoch and seq and at and now >= at - 10000 and redis.call('ZCARD', locks) == redis.call('ZCARD', news)) then
  redis.call('DEL', locks, news, state)
  epoch, seq = '', 0
end
if epoch ~= ARGV[1] then
  cursor = 0
elseif cursor > seq then
  epoch, cursor = fresh, 0
  redis.call('HSET', state, 'epoch', epoch)
end

local function drop(gone)
  if #gone > 0 then
    redis.call('ZREM', locks, unpack(gone))
    redis.call('ZREM', news, unpack(gone))
  end
end
local told = false
for i = 8, #ARGV, 3 do
  local level, ends = int(ARGV[i+1]), math.max(now + int(ARGV[i+2]), 0)
  local old, oldlevel, oldends = int(redis.call('ZSCORE', locks, ARGV[i])), -1, -1
  if old then oldlevel, oldends = old % 64, math.floor(old / 64) end
  if level > oldlevel or ends > oldends + slack then
    seq, told = seq + 1, true
    redis.call('ZADD', locks, text(math.max(ends, oldends) * 64 + math.max(level, oldlevel)), ARGV[i])
    redis.call('ZADD', news, text(seq), ARGV[i])
  end
end
if told then
  if epoch == '' then epoch = fresh end
  drop(redis.call('ZRANGEBYSCORE', locks, '-inf', text((now - kept) * 64), 'LIMIT', 0, 1000))
  local over = redis.call('ZCARD', locks) - most
  if over > 0 then drop(redis.call('ZRANGE', locks, 0, math.min(over, 1000) - 1)) end
  redis.call('HSET', state, 'epoch', epoch, 'seq', text(seq), 'at', text(now))
  local last = int(redis.call('ZREVRANGE', locks, 0, 0, 'WITHSCORES')[2]) or 0
  local ttl = text(math.max(math.floor(last / 64) - now, 0) + kept)
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl) end
end

local reply = {epoch, cursor}
local found = redis.call('ZRANGEBYSCORE', news, '(' .. text(cursor), '+inf', 'WITHSCORES', 'LIMIT', 0, page)
for i = 1, #found, 2 do
  reply[2] = int(found[i+1]) or reply[2]
  local lock = int(redis.call('ZSCORE', locks, found[i]))
  if lock then
    reply[#reply+1] = found[i]
    reply[#reply+1] = lock % 64
    reply[#reply+1] = math.floor(lock / 64) - now
  end
end
return reply
`)
