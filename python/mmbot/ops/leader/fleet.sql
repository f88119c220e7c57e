-- Who leads on which account. Safe to run again; runs at every connection.
CREATE TABLE IF NOT EXISTS mmbot_lease (
    account    text PRIMARY KEY,            -- environment and account, as "testnet 1001"
    epoch      bigint NOT NULL DEFAULT 0,   -- grows with every holder; never goes back
    beat       bigint NOT NULL DEFAULT 0,   -- grows with every take and renewal: a watcher sees life without a clock
    holder     text NOT NULL DEFAULT '',    -- host and process, for people; '' while nobody holds it
    ttl_ms     bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity', -- by this server's clock
    quiet      boolean NOT NULL DEFAULT true, -- no request of the last holder can arrive: none ever led, or it left in order
    build      text NOT NULL DEFAULT '',    -- hash of the program that may lead; '' until the first one does
    config     text NOT NULL DEFAULT ''     -- hash of its configuration
);
-- How far trading on the account is stopped: the freeze log of whoever leads, and what others asked for beside it.
CREATE TABLE IF NOT EXISTS mmbot_freeze (
    account    text PRIMARY KEY,
    epoch      bigint NOT NULL,             -- of the holder that may write it: set in the transaction that takes the lease
    log        bytea NOT NULL               -- its lines, as freeze.jsonl
);
CREATE TABLE IF NOT EXISTS mmbot_freeze_asked (
    account    text NOT NULL,
    name       text NOT NULL,               -- of the freeze
    said       text NOT NULL,               -- JSON, as in the log; the leader takes it out once its log has it
    PRIMARY KEY (account, name)
);
