-- +goose Up

-- What happened to orders, for those who follow them: written with the change
-- itself, read in the order of xact and seq, and pruned after a day. An order is
-- placed once, and then shipped or cancelled. Neither xact nor seq leaves the
-- store.
CREATE TABLE order_events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    xact       INTEGER NOT NULL DEFAULT 0, -- SQLite's one writer commits in the order of seq
    order_id   TEXT NOT NULL,
    owner      TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('placed', 'shipped', 'cancelled')),
    at         INTEGER NOT NULL,
    written_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX order_events_once ON order_events (order_id, kind);
CREATE UNIQUE INDEX order_events_end ON order_events (order_id) WHERE kind <> 'placed';
CREATE INDEX order_events_order ON order_events (xact, seq);
CREATE INDEX order_events_of_owner ON order_events (owner, xact, seq);
CREATE INDEX order_events_age ON order_events (written_at);
CREATE INDEX orders_shipping ON orders (ships_at) WHERE cancelled_at IS NULL;

CREATE VIEW order_events_settled AS SELECT * FROM order_events;
