-- +goose Up

-- What happened to orders, for those who follow them: written with the change
-- itself, read in the order of xact and seq, and pruned after a day. An order is
-- placed once, and then shipped or cancelled. Neither xact nor seq leaves the
-- store.
CREATE TABLE order_events (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xact       BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    order_id   TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL CHECK (kind IN ('placed', 'shipped', 'cancelled')),
    at         BIGINT NOT NULL,
    written_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX order_events_once ON order_events (order_id, kind);
CREATE UNIQUE INDEX order_events_end ON order_events (order_id) WHERE kind <> 'placed';
CREATE INDEX order_events_order ON order_events (xact, seq);
CREATE INDEX order_events_of_owner ON order_events (owner, xact, seq);
CREATE INDEX order_events_age ON order_events (written_at);
CREATE INDEX orders_shipping ON orders (ships_at) WHERE cancelled_at IS NULL;

-- The events that can be read without missing one. A transaction takes its seq
-- long before it commits: by seq alone, who has read 7 would never see the 6 of a
-- transaction that commits later. So the transaction's number comes first, and
-- only events of transactions older than every one under way are there yet: none
-- that is older still can be added to them. A transaction that writes and stays
-- open, in whichever database of the server, holds the events back.
CREATE VIEW order_events_settled AS SELECT * FROM order_events
    WHERE xact < pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
