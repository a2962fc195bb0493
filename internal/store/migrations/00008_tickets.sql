-- Changes that people carry out: how their owner is asked, and the tickets. What is open, and what is done, the records say; here stands what
-- they cannot: when it was asked for, in which ticket, and what became of it.

-- +goose Up

ALTER TABLE publishers ADD COLUMN host TEXT NOT NULL DEFAULT ''; -- whose console; '' = any
ALTER TABLE publishers ADD COLUMN remind_every BIGINT NOT NULL DEFAULT 0; -- 0 = the default
ALTER TABLE publishers ADD COLUMN expires_after BIGINT NOT NULL DEFAULT 0; -- 0 = the default

CREATE TABLE tickets (
  number    BIGINT NOT NULL PRIMARY KEY,
  publisher TEXT   NOT NULL,
  opened    BIGINT NOT NULL,
  revision  BIGINT NOT NULL, -- what people see: grows when a change joins
  revised   BIGINT NOT NULL,
  reminded  BIGINT NOT NULL,
  reminders BIGINT NOT NULL,
  expired   BIGINT NOT NULL, -- 0 = not now
  closed    BIGINT NOT NULL, -- 0 = open
  why       TEXT   NOT NULL,
  note      TEXT   NOT NULL,
  note_by   TEXT   NOT NULL,
  note_at   BIGINT NOT NULL,
  version   BIGINT NOT NULL  -- for compare and swap
);
CREATE UNIQUE INDEX tickets_open ON tickets (publisher) WHERE closed = 0;

CREATE TABLE ticket_items (
  ticket    BIGINT NOT NULL REFERENCES tickets (number),
  position  BIGINT NOT NULL,
  record_id TEXT   NOT NULL,
  domain    TEXT   NOT NULL,
  name      TEXT   NOT NULL,
  type      TEXT   NOT NULL,
  want      TEXT   NOT NULL, -- '' = nothing shall stand there
  written   TEXT   NOT NULL, -- what of ours stood there when it was asked for
  joined    BIGINT NOT NULL,
  left_at   BIGINT NOT NULL, -- 0 = open
  ending    TEXT   NOT NULL, -- done, withdrawn
  PRIMARY KEY (ticket, position)
);
CREATE INDEX ticket_items_open ON ticket_items (ticket) WHERE left_at = 0;
