-- What receivers refuse because of authentication, as the logs of the mail servers have it: hours with counts, kept for store.keepRefusals.

-- +goose Up

CREATE TABLE refusals (
  server_id TEXT   NOT NULL,
  hour      BIGINT NOT NULL, -- its beginning
  domain    TEXT   NOT NULL, -- as the agent says it; '' = not known
  receiver  TEXT   NOT NULL,
  code      TEXT   NOT NULL,
  inventory TEXT   NOT NULL, -- the domain of ours at or above it, at the time; '' = none
  cause     TEXT   NOT NULL,
  permanent BIGINT NOT NULL,
  messages  BIGINT NOT NULL,
  first     BIGINT NOT NULL,
  last      BIGINT NOT NULL,
  text      TEXT   NOT NULL, -- what the receiver said, once
  PRIMARY KEY (server_id, hour, domain, receiver, code)
);
CREATE INDEX refusals_inventory ON refusals (inventory, last);
CREATE INDEX refusals_last ON refusals (server_id, last);

CREATE INDEX findings_id ON findings (id, domain, subject); -- one kind of finding of many domains
