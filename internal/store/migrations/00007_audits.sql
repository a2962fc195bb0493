-- Findings with their history, what is muted, and when each domain is audited.

-- +goose Up

ALTER TABLE signers ADD COLUMN sends_from TEXT NOT NULL DEFAULT ''; -- inventory.SendsFrom as JSON

CREATE TABLE standing (
  domain   TEXT   NOT NULL,
  source   TEXT   NOT NULL, -- life (looks at our records), audit, primes
  id       TEXT   NOT NULL,
  subject  TEXT   NOT NULL,
  severity TEXT   NOT NULL,
  message  TEXT   NOT NULL,
  fix      TEXT   NOT NULL,
  seen     TEXT   NOT NULL, -- list of audit.Seen as JSON
  mend     TEXT   NOT NULL, -- list of audit.Mend as JSON
  since    BIGINT NOT NULL,
  last     BIGINT NOT NULL,
  times    BIGINT NOT NULL,
  PRIMARY KEY (domain, id, subject, source) -- in the order in which they are listed
);
INSERT INTO standing (domain, source, id, subject, severity, message, fix, seen, mend, since, last, times)
  SELECT domain, 'life', id, subject, severity, message, fix, '', '', since, since, 1 FROM findings;
DROP TABLE findings;
ALTER TABLE standing RENAME TO findings;

-- What changed about findings, kept for store.keepEvents.
CREATE TABLE finding_events (
  domain   TEXT   NOT NULL,
  at       BIGINT NOT NULL,
  ord      BIGINT NOT NULL, -- among those of one moment
  source   TEXT   NOT NULL,
  id       TEXT   NOT NULL,
  subject  TEXT   NOT NULL,
  severity TEXT   NOT NULL,
  message  TEXT   NOT NULL,
  change   TEXT   NOT NULL, -- audit.Change
  PRIMARY KEY (domain, at, ord)
);
CREATE INDEX finding_events_at ON finding_events (at, domain, ord);

CREATE TABLE mutes (
  domain  TEXT   NOT NULL,
  id      TEXT   NOT NULL,
  subject TEXT   NOT NULL, -- '' = every subject
  actor   TEXT   NOT NULL,
  reason  TEXT   NOT NULL,
  at      BIGINT NOT NULL,
  until   BIGINT NOT NULL,
  PRIMARY KEY (domain, id, subject)
);

-- One row for each domain: when it is audited next, who does, and what the newest audit said beside its findings.
CREATE TABLE audits (
  domain      TEXT   NOT NULL PRIMARY KEY,
  due_at      BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  fence       BIGINT NOT NULL,
  at          BIGINT NOT NULL, -- of the newest audit; 0 = there was none
  selectors   TEXT   NOT NULL, -- list of audit.Selector as JSON
  not_checked TEXT   NOT NULL  -- list of sentences as JSON
);
CREATE INDEX audits_due ON audits (due_at, domain);
INSERT INTO audits (domain, due_at, lease_until, fence, at, selectors, not_checked) SELECT name, 1, 0, 0, 0, '[]', '[]' FROM domains;

-- The public keys that audits found, so that equal ones and shared primes are noticed.
CREATE TABLE audit_keys (
  domain      TEXT   NOT NULL,
  name        TEXT   NOT NULL,
  fingerprint TEXT   NOT NULL,
  service     BIGINT NOT NULL,
  modulus     TEXT   NOT NULL, -- base64; '' = it has none
  compared    BIGINT NOT NULL, -- 1 = with all the others
  PRIMARY KEY (domain, name)
);
CREATE INDEX audit_keys_fingerprint ON audit_keys (fingerprint);
CREATE INDEX audit_keys_new ON audit_keys (compared, domain, name);
