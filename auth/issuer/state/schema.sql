CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE signing_keys (
  id TEXT PRIMARY KEY,
  algorithm TEXT NOT NULL,
  private BLOB NOT NULL,            -- PKCS #8
  created INTEGER NOT NULL,         -- all times are seconds since 1970
  signs INTEGER NOT NULL,           -- from when it signs, until a later one does
  tokens_until INTEGER NOT NULL     -- when the last of its tokens ends
) STRICT;

CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  record TEXT NOT NULL              -- JSON
) STRICT;

CREATE TABLE requests (
  digest BLOB PRIMARY KEY,
  record BLOB NOT NULL,
  expires INTEGER NOT NULL
) STRICT;

CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  record TEXT NOT NULL,             -- JSON
  expires INTEGER NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE codes (
  digest BLOB PRIMARY KEY,
  grant_id TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
  record TEXT NOT NULL,             -- JSON
  expires INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE refresh_tokens (
  digest BLOB PRIMARY KEY,
  grant_id TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
  expires INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE access_tokens (
  digest BLOB PRIMARY KEY,
  grant_id TEXT REFERENCES grants (id) ON DELETE CASCADE,
  key_id TEXT NOT NULL,             -- empty: opaque
  record TEXT NOT NULL,             -- JSON
  expires INTEGER NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX access_tokens_by_grant ON access_tokens (grant_id);
