-- +goose Up

-- seq is the order of arrival. It never leaves the store: it would tell how
-- much the shop sells. Times are milliseconds since 1970 (UTC), money is in the
-- currency's minor unit. Of a card, only the last four digits are kept.
CREATE TABLE orders (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    created_by   TEXT NOT NULL CHECK (created_by <> ''),
    customer_id  TEXT NOT NULL,
    currency     TEXT NOT NULL CHECK (length(currency) = 3),
    total_cents  INTEGER NOT NULL CHECK (total_cents >= 0),
    note         TEXT,
    card_last4   TEXT CHECK (length(card_last4) = 4),
    ship_name    TEXT,
    ship_street  TEXT,
    ship_city    TEXT,
    ship_postal  TEXT,
    ship_country TEXT,
    placed_at    INTEGER NOT NULL,
    ships_at     INTEGER NOT NULL,
    cancelled_at INTEGER
) STRICT;

CREATE INDEX orders_of_creator ON orders (created_by, seq);
CREATE INDEX orders_sold ON orders (placed_at, currency, total_cents, cancelled_at) WHERE cancelled_at IS NULL;

CREATE TABLE order_items (
    order_seq        INTEGER NOT NULL REFERENCES orders (seq),
    position         INTEGER NOT NULL,
    sku              TEXT NOT NULL,
    quantity         INTEGER NOT NULL CHECK (quantity > 0),
    unit_price_cents INTEGER NOT NULL CHECK (unit_price_cents >= 0),
    PRIMARY KEY (order_seq, position)
) STRICT, WITHOUT ROWID;

-- What is known of those who place orders, kept up in the same transactions.
CREATE TABLE users (
    name           TEXT PRIMARY KEY,
    orders         INTEGER NOT NULL,
    cancelled      INTEGER NOT NULL,
    first_order_at INTEGER NOT NULL,
    last_order_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
