-- Probes: where they go, which agents submit them, and what became of each.

-- +goose Up

ALTER TABLE meta ADD COLUMN probes TEXT NOT NULL DEFAULT ''; -- inventory.Probes as JSON
ALTER TABLE agents ADD COLUMN probes BIGINT NOT NULL DEFAULT 0; -- 1 = it said that it can submit them

CREATE TABLE probes (
  id         TEXT   NOT NULL PRIMARY KEY,
  domain     TEXT   NOT NULL,
  signer_id  TEXT   NOT NULL,
  service    BIGINT NOT NULL, -- 1 = a person sends the message
  token_hash TEXT   NOT NULL,
  to_address TEXT   NOT NULL, -- with the token; '' = nobody has to be told any more
  why        TEXT   NOT NULL,
  by_name    TEXT   NOT NULL,
  asked      BIGINT NOT NULL,
  wanted     TEXT   NOT NULL, -- list of selectors as JSON
  state      TEXT   NOT NULL,
  submitted  BIGINT NOT NULL,
  reply      TEXT   NOT NULL,
  not_set_up BIGINT NOT NULL,
  ended      BIGINT NOT NULL, -- 0 = somebody waits for it
  mail       TEXT   NOT NULL, -- probe.Mail as JSON; '' = nothing arrived
  verdict    TEXT   NOT NULL, -- probe.Verdict as JSON
  revision   BIGINT NOT NULL
);
CREATE UNIQUE INDEX probes_token ON probes (token_hash);
CREATE INDEX probes_path ON probes (domain, signer_id, asked);
CREATE INDEX probes_orders ON probes (signer_id) WHERE to_address <> '';
CREATE INDEX probes_open ON probes (domain, signer_id) WHERE ended = 0;
CREATE INDEX probes_server ON probes (signer_id, asked);
CREATE INDEX probes_ended ON probes (ended) WHERE ended > 0;
CREATE INDEX probes_asked ON probes (asked, id);
