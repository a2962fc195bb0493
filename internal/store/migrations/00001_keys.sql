-- The nouns that keys live by. The same text is used for SQLite and PostgreSQL: TEXT and BIGINT only; times and durations
-- are microseconds (times UTC, 0 = never), truth is 0 or 1. There is no way back: a migration is never edited once it
-- was released, only followed by another.

-- +goose Up

-- One row: which installation this is, and what it remembers of time.
CREATE TABLE meta (
  id           BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  installation TEXT   NOT NULL,
  epoch        BIGINT NOT NULL,
  generation   BIGINT NOT NULL, -- of the inventory
  clock_high   BIGINT NOT NULL, -- no earlier time is ever given out
  dns          TEXT   NOT NULL  -- inventory.DNS as JSON
);

CREATE TABLE publishers (
  name     TEXT   NOT NULL PRIMARY KEY,
  kind     TEXT   NOT NULL,
  server   TEXT   NOT NULL,
  key_file TEXT   NOT NULL, -- the name of a file; its contents never come here
  zone     TEXT   NOT NULL,
  contact  TEXT   NOT NULL,
  repair   BIGINT NOT NULL
);

CREATE TABLE signers (
  id                TEXT   NOT NULL PRIMARY KEY,
  kind              TEXT   NOT NULL,
  name              TEXT   NOT NULL,
  label             TEXT   NOT NULL,
  service           TEXT   NOT NULL,
  decommissioned    BIGINT NOT NULL,
  decommissioned_by TEXT   NOT NULL
);

CREATE TABLE signer_members (
  pool_id   TEXT   NOT NULL REFERENCES signers (id),
  server_id TEXT   NOT NULL REFERENCES signers (id),
  position  BIGINT NOT NULL,
  PRIMARY KEY (pool_id, server_id)
);
CREATE INDEX signer_members_server ON signer_members (server_id);

CREATE TABLE domains (
  name      TEXT NOT NULL PRIMARY KEY,
  mode      TEXT NOT NULL,
  publisher TEXT REFERENCES publishers (name),
  no_key    TEXT NOT NULL,
  dmarc     TEXT NOT NULL,
  policy    TEXT NOT NULL -- inventory.Policy as JSON
);
CREATE INDEX domains_publisher ON domains (publisher);

CREATE TABLE domain_labels (
  domain   TEXT   NOT NULL REFERENCES domains (name),
  label    TEXT   NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (domain, label)
);
CREATE INDEX domain_labels_label ON domain_labels (label, domain);

CREATE TABLE assignments (
  id               TEXT   NOT NULL PRIMARY KEY,
  domain           TEXT   NOT NULL REFERENCES domains (name),
  signer_id        TEXT   NOT NULL REFERENCES signers (id),
  stream           TEXT   NOT NULL,
  class            TEXT   NOT NULL,
  bulk             BIGINT NOT NULL,
  algorithms       TEXT   NOT NULL, -- JSON
  records          TEXT   NOT NULL, -- JSON: what a service wants at its selectors
  slots            TEXT   NOT NULL, -- JSON
  rotate_requested BIGINT NOT NULL,
  rotate_by        TEXT   NOT NULL,
  ended            BIGINT NOT NULL,
  ended_by         TEXT   NOT NULL
);
CREATE INDEX assignments_domain ON assignments (domain);
CREATE INDEX assignments_signer ON assignments (signer_id);

-- What an operator says about time.
CREATE TABLE holds (
  domain   TEXT   NOT NULL PRIMARY KEY,
  until_at BIGINT NOT NULL, -- 0 = until released
  reason   TEXT   NOT NULL,
  by_name  TEXT   NOT NULL,
  said_at  BIGINT NOT NULL
);

CREATE TABLE freezes (
  id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  until_at BIGINT NOT NULL,
  reason   TEXT   NOT NULL,
  by_name  TEXT   NOT NULL,
  said_at  BIGINT NOT NULL
);

CREATE TABLE windows (
  position  BIGINT NOT NULL PRIMARY KEY,
  days      TEXT   NOT NULL, -- JSON
  from_time TEXT   NOT NULL,
  to_time   TEXT   NOT NULL,
  zone      TEXT   NOT NULL
);

CREATE TABLE approval_steps (
  position BIGINT NOT NULL PRIMARY KEY,
  step     TEXT   NOT NULL
);

CREATE TABLE waivers (
  domain   TEXT   NOT NULL,
  server   TEXT   NOT NULL,
  until_at BIGINT NOT NULL,
  by_name  TEXT   NOT NULL,
  reason   TEXT   NOT NULL,
  PRIMARY KEY (domain, server)
);

-- Keys: public halves and facts only.
CREATE TABLE keys (
  id              TEXT   NOT NULL PRIMARY KEY,
  domain          TEXT   NOT NULL,
  assignment_id   TEXT   NOT NULL,
  selector        TEXT   NOT NULL,
  algorithm       TEXT   NOT NULL,
  state           TEXT   NOT NULL,
  value           TEXT   NOT NULL, -- the TXT value of the public half
  created         BIGINT NOT NULL,
  propagated      BIGINT NOT NULL,
  proven          BIGINT NOT NULL,
  activated       BIGINT NOT NULL,
  signing         BIGINT NOT NULL,
  retired         BIGINT NOT NULL,
  stopped         BIGINT NOT NULL,
  revoked         BIGINT NOT NULL,
  removed         BIGINT NOT NULL,
  demoted         BIGINT NOT NULL,
  rotate_after    BIGINT NOT NULL,
  end_reason      TEXT   NOT NULL,
  ask_by          TEXT   NOT NULL, -- a person's wish that it leaves; asked_at 0 = nobody's
  ask_reason      TEXT   NOT NULL,
  asked_at        BIGINT NOT NULL,
  compromised     BIGINT NOT NULL,
  canary          TEXT   NOT NULL,
  canary_asked    BIGINT NOT NULL,
  revision        BIGINT NOT NULL
);
CREATE INDEX keys_domain ON keys (domain);
CREATE INDEX keys_assignment ON keys (assignment_id);

CREATE TABLE approvals (
  key_id  TEXT   NOT NULL REFERENCES keys (id),
  step    TEXT   NOT NULL,
  by_name TEXT   NOT NULL,
  said_at BIGINT NOT NULL,
  PRIMARY KEY (key_id, step)
);

-- What is wanted of a holder (planner), and what that holder says (reports). Nobody writes the other's columns.
CREATE TABLE holdings (
  key_id          TEXT   NOT NULL REFERENCES keys (id),
  server_id       TEXT   NOT NULL REFERENCES signers (id),
  want            TEXT   NOT NULL,
  rank            BIGINT NOT NULL,
  want_version    BIGINT NOT NULL, -- instruction version that carried this wish first
  acked           TEXT   NOT NULL,
  has             BIGINT NOT NULL,
  value           TEXT   NOT NULL,
  signing         BIGINT NOT NULL,
  signed          BIGINT NOT NULL,
  last_signed     BIGINT NOT NULL,
  canary_verified BIGINT NOT NULL,
  canary_nonce    TEXT   NOT NULL,
  canary_problem  TEXT   NOT NULL,
  error           TEXT   NOT NULL,
  spoken          BIGINT NOT NULL, -- the newest report spoke of it: reported and skew are those of the agent
  reported        BIGINT NOT NULL,
  skew            BIGINT NOT NULL,
  destroyed       BIGINT NOT NULL,
  gone            BIGINT NOT NULL,
  PRIMARY KEY (key_id, server_id)
);
CREATE INDEX holdings_server ON holdings (server_id);

-- A selector is bound to a key for a time, and never again to another unless it is a declared slot.
CREATE TABLE bindings (
  domain   TEXT   NOT NULL,
  selector TEXT   NOT NULL,
  key_id   TEXT   NOT NULL REFERENCES keys (id),
  from_at  BIGINT NOT NULL,
  until_at BIGINT NOT NULL, -- 0 = bound now
  slot     BIGINT NOT NULL,
  PRIMARY KEY (domain, selector, key_id)
);
CREATE UNIQUE INDEX bindings_once ON bindings (domain, selector) WHERE slot = 0;
CREATE UNIQUE INDEX bindings_now ON bindings (domain, selector) WHERE until_at = 0;
CREATE INDEX bindings_key ON bindings (key_id);

CREATE TABLE records (
  id            TEXT   NOT NULL PRIMARY KEY,
  domain        TEXT   NOT NULL,
  purpose       TEXT   NOT NULL,
  assignment_id TEXT   NOT NULL,
  key_id        TEXT   NOT NULL, -- '' = not of a managed key
  name          TEXT   NOT NULL,
  type          TEXT   NOT NULL,
  ttl           BIGINT NOT NULL,
  want          TEXT   NOT NULL,
  written       TEXT   NOT NULL,
  written_at    BIGINT NOT NULL,
  pending       BIGINT NOT NULL,
  agreed_since  BIGINT NOT NULL,
  first_agreed  BIGINT NOT NULL,
  positive_ttl  BIGINT NOT NULL,
  negative_ttl  BIGINT NOT NULL,
  last          TEXT   NOT NULL, -- evidence.Sighting as JSON
  adopted       TEXT   NOT NULL,
  gone          BIGINT NOT NULL,
  condition     TEXT   NOT NULL,
  revision      BIGINT NOT NULL
);
CREATE INDEX records_domain ON records (domain);
CREATE INDEX records_name ON records (name, type);
CREATE INDEX records_pending ON records (name) WHERE pending = 1;
CREATE UNIQUE INDEX records_key ON records (key_id) WHERE key_id <> '';
CREATE UNIQUE INDEX records_own ON records (domain, name, type) WHERE key_id = '';

-- One row per domain that ever was in the inventory. Rows stay when a domain leaves, so that fences never repeat.
CREATE TABLE work (
  domain      TEXT   NOT NULL PRIMARY KEY,
  due_at      BIGINT NOT NULL, -- 0 = never
  revision    BIGINT NOT NULL, -- grows when something happened that a worker must look at
  lease_until BIGINT NOT NULL, -- 0 = nobody's
  worker      TEXT   NOT NULL,
  fence       BIGINT NOT NULL  -- grows with every claim
);
CREATE INDEX work_due ON work (due_at, domain) WHERE due_at > 0;

CREATE TABLE journal (
  seq     BIGINT NOT NULL PRIMARY KEY,
  said_at BIGINT NOT NULL,
  kind    TEXT   NOT NULL,
  actor   TEXT   NOT NULL,
  domain  TEXT   NOT NULL,
  key_id  TEXT   NOT NULL,
  step    TEXT   NOT NULL,
  why     TEXT   NOT NULL,
  intent  BIGINT NOT NULL,
  ok      BIGINT NOT NULL,
  detail  TEXT   NOT NULL, -- JSON; '' = none
  prev    TEXT   NOT NULL,
  hash    TEXT   NOT NULL
);
CREATE INDEX journal_domain ON journal (domain, seq) WHERE domain <> '';
CREATE INDEX journal_key ON journal (key_id, seq) WHERE key_id <> '';
CREATE INDEX journal_intents ON journal (domain, seq) WHERE kind = 'intent';
CREATE UNIQUE INDEX journal_outcomes ON journal (intent) WHERE intent > 0;

-- The end of the chain: whoever writes to the journal holds this row.
CREATE TABLE journal_head (
  id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  seq     BIGINT NOT NULL,
  said_at BIGINT NOT NULL,
  hash    TEXT   NOT NULL
);

CREATE TABLE findings (
  id       TEXT   NOT NULL,
  domain   TEXT   NOT NULL,
  subject  TEXT   NOT NULL,
  severity TEXT   NOT NULL,
  message  TEXT   NOT NULL,
  fix      TEXT   NOT NULL,
  since    BIGINT NOT NULL,
  PRIMARY KEY (domain, id, subject)
);

-- The version of what each server is told; bumped in the transaction that changes any of it.
CREATE TABLE instructions (
  server_id TEXT   NOT NULL PRIMARY KEY REFERENCES signers (id),
  version   BIGINT NOT NULL
);

-- What each server's agent said of itself.
CREATE TABLE agents (
  server_id TEXT   NOT NULL PRIMARY KEY REFERENCES signers (id),
  reported  BIGINT NOT NULL,
  applied   BIGINT NOT NULL,
  skew      BIGINT NOT NULL,
  software  TEXT   NOT NULL
);
