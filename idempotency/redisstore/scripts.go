package redisstore

import "github.com/redis/go-redis/v9"

// A record is a hash: o is its owner, f the fingerprint, l the end of the lease
// in milliseconds since 1970, r the reply once it is done. It expires by itself.
// In each script, ARGV[1] is the owner.

// claim returns the idempotency.Status and the reply. ARGV: owner, fingerprint,
// lease, keep.
var claim = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local had = redis.call('HMGET', KEYS[1], 'o', 'f', 'l', 'r')
if had[1] then
  if had[2] ~= ARGV[2] then return {4, ''} end
  if had[4] then return {3, had[4]} end
  if had[1] ~= ARGV[1] and tonumber(had[3]) > now then return {2, ''} end
end
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'f', ARGV[2], 'l', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + ARGV[4]))
return {1, ''}`)

// extend returns 1, or 0 where the record is not running for the owner. ARGV:
// owner, lease, keep.
var extend = redis.NewScript(`
local had = redis.call('HMGET', KEYS[1], 'o', 'r')
if had[1] ~= ARGV[1] or had[2] then return 0 end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'l', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[2] + ARGV[3]))
return 1`)

// finish returns 1, or 0 where the record is not the owner's. ARGV: owner, keep,
// reply.
var finish = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'r', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)

// release removes the record if it is running for the owner. ARGV: owner.
var release = redis.NewScript(`
local had = redis.call('HMGET', KEYS[1], 'o', 'r')
if had[1] == ARGV[1] and not had[2] then return redis.call('DEL', KEYS[1]) end
return 0`)
