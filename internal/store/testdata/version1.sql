-- A database at version 1: the schema of that version, then rows that a program of that time wrote.

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

INSERT INTO meta (id, installation, epoch, generation, clock_high, dns) VALUES (1, 'inst_version1', 3, 7, 1767603601000000, '{}');
INSERT INTO publishers (name, kind, server, key_file, zone, contact, repair) VALUES ('bind', 'rfc2136', '192.0.2.1:53', '/etc/postseal/tsig.key', '', '', 0);
INSERT INTO signers (id, kind, name, label, service, decommissioned, decommissioned_by) VALUES ('srv_1', 'server', 'mx1', 'mx1', '', 0, '');
INSERT INTO signers (id, kind, name, label, service, decommissioned, decommissioned_by) VALUES ('pool_1', 'pool', 'out', 'out', '', 0, '');
INSERT INTO signer_members (pool_id, server_id, position) VALUES ('pool_1', 'srv_1', 0);
INSERT INTO domains (name, mode, publisher, no_key, dmarc, policy) VALUES ('example.org', 'managed', 'bind', 'pass', '', '{"rotate_every":15552000000000000,"jitter_percent":10,"retention":2592000000000000,"tombstone":2592000000000000,"ttl":3600000000000,"min_wait":900000000000,"check_every":3600000000000}');
INSERT INTO domain_labels (domain, label, position) VALUES ('example.org', 'eu', 0);
INSERT INTO assignments (id, domain, signer_id, stream, class, bulk, algorithms, records, slots, rotate_requested, rotate_by, ended, ended_by) VALUES ('as_1', 'example.org', 'srv_1', 'default', 'managed', 0, '["rsa2048"]', 'null', 'null', 0, '', 0, '');
INSERT INTO windows (position, days, from_time, to_time, zone) VALUES (0, '[6]', '22:00', '04:00', '');
INSERT INTO approval_steps (position, step) VALUES (0, 'remove');
INSERT INTO keys (id, domain, assignment_id, selector, algorithm, state, value, created, propagated, proven, activated, signing, retired, stopped, revoked, removed, demoted, rotate_after, end_reason, ask_by, ask_reason, asked_at, compromised, canary, canary_asked, revision) VALUES ('key_1', 'example.org', 'as_1', 'mx1-2601abcd', 'rsa2048', 'active', 'v=DKIM1; p=AAAA', 1767603600000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', 0, 0, '', 0, 1);
INSERT INTO holdings (key_id, server_id, want, rank, want_version, acked, has, value, signing, signed, last_signed, canary_verified, canary_nonce, canary_problem, error, spoken, reported, skew, destroyed, gone) VALUES ('key_1', 'srv_1', 'sign', 1, 3, '', 1, 'v=DKIM1; p=AAAA', 1, 12, 1767603598000000, 0, '', '', '', 1, 0, 0, 0, 0);
INSERT INTO bindings (domain, selector, key_id, from_at, until_at, slot) VALUES ('example.org', 'mx1-2601abcd', 'key_1', 1767603600000000, 0, 0);
INSERT INTO records (id, domain, purpose, assignment_id, key_id, name, type, ttl, want, written, written_at, pending, agreed_since, first_agreed, positive_ttl, negative_ttl, last, adopted, gone, condition, revision) VALUES ('rec_key_1', 'example.org', 'key', 'as_1', 'key_1', 'mx1-2601abcd._domainkey.example.org', 'TXT', 3600000000, 'v=DKIM1; p=AAAA', 'v=DKIM1; p=AAAA', 0, 0, 0, 0, 0, 0, '{"name":"","type":"","expected":"","at":"0001-01-01T00:00:00Z","zone":"","servers":null,"positive_ttl":0,"negative_ttl":0}', '', 0, '', 1);
INSERT INTO work (domain, due_at, revision, lease_until, worker, fence) VALUES ('example.org', 1767603601000000, 3, 0, '', 42);
INSERT INTO journal (seq, said_at, kind, actor, domain, key_id, step, why, intent, ok, detail, prev, hash) VALUES (1, 1767603600000000, 'intent', 'planner', 'example.org', 'key_1', 'publish', 'a holder has made the key', 0, 0, '{"expect":"","want":"v=DKIM1; p=AAAA"}', '', 'c0fc2f861f5cf7019d898230207b41191338ec81306473a962811e884baac0be');
INSERT INTO journal (seq, said_at, kind, actor, domain, key_id, step, why, intent, ok, detail, prev, hash) VALUES (2, 1767603601000000, 'outcome', 'planner', 'example.org', 'key_1', 'publish', 'done', 1, 1, '', 'c0fc2f861f5cf7019d898230207b41191338ec81306473a962811e884baac0be', '39136fbcb07439463e5aba66cb81b9c6a0254c9ad7e96a5332de598522648f33');
INSERT INTO journal_head (id, seq, said_at, hash) VALUES (1, 2, 1767603601000000, '39136fbcb07439463e5aba66cb81b9c6a0254c9ad7e96a5332de598522648f33');
INSERT INTO findings (id, domain, subject, severity, message, fix, since) VALUES ('LIFE-01', 'example.org', 'x', 'warning', 'taken', '', 1767603601000000);
INSERT INTO instructions (server_id, version) VALUES ('srv_1', 3);
INSERT INTO agents (server_id, reported, applied, skew, software) VALUES ('srv_1', 1767603601000000, 2, 0, 'postseal test');
