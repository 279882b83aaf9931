-- +goose Up

-- seq is the order of arrival. It never leaves the store: it would tell how
-- much the shop sells. Times are milliseconds since 1970 (UTC), money is in the
-- currency's minor unit. Of a card, only the last four digits are kept. Text
-- that is compared or sorted is so bytewise, whatever the database's locale.
CREATE TABLE orders (
    seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           TEXT COLLATE "C" NOT NULL UNIQUE,
    created_by   TEXT COLLATE "C" NOT NULL CHECK (created_by <> ''),
    customer_id  TEXT NOT NULL,
    currency     TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    total_cents  BIGINT NOT NULL CHECK (total_cents >= 0),
    note         TEXT,
    card_last4   TEXT CHECK (length(card_last4) = 4),
    ship_name    TEXT,
    ship_street  TEXT,
    ship_city    TEXT,
    ship_postal  TEXT,
    ship_country TEXT,
    placed_at    BIGINT NOT NULL,
    ships_at     BIGINT NOT NULL,
    cancelled_at BIGINT
);

CREATE INDEX orders_of_creator ON orders (created_by, seq);
CREATE INDEX orders_sold ON orders (placed_at, currency) INCLUDE (total_cents) WHERE cancelled_at IS NULL;

CREATE TABLE order_items (
    order_seq        BIGINT NOT NULL REFERENCES orders (seq),
    position         BIGINT NOT NULL,
    sku              TEXT NOT NULL,
    quantity         BIGINT NOT NULL CHECK (quantity > 0),
    unit_price_cents BIGINT NOT NULL CHECK (unit_price_cents >= 0),
    PRIMARY KEY (order_seq, position)
);

-- What is known of those who place orders, kept up in the same transactions.
CREATE TABLE users (
    name           TEXT COLLATE "C" PRIMARY KEY,
    orders         BIGINT NOT NULL,
    cancelled      BIGINT NOT NULL,
    first_order_at BIGINT NOT NULL,
    last_order_at  BIGINT NOT NULL
);
