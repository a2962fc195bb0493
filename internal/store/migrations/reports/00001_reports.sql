-- Reports: how they came, what they say, and the roll-ups that are made of them.
--
-- On PostgreSQL BLOB becomes BYTEA, INTEGER PRIMARY KEY AUTOINCREMENT an identity, and WITHOUT ROWID goes away. Days are counted from 1970-01-01.

-- +goose Up

-- Mails and files as they came.
CREATE TABLE report_inputs (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  arrived BIGINT NOT NULL,
  way     TEXT   NOT NULL, -- report.Way
  place   TEXT   NOT NULL,
  name    TEXT   NOT NULL,
  sender  TEXT   NOT NULL, -- domain that the mail's DMARC result is about; '' = no mail
  trust   TEXT   NOT NULL, -- report.Trust
  verdict TEXT   NOT NULL,
  hash    BLOB   NOT NULL, -- of the octets
  size    BIGINT NOT NULL, -- octets as they came
  packed  BIGINT NOT NULL, -- octets as they are kept; 0 = kept no more
  reports BIGINT NOT NULL, -- documents in it
  unread  BIGINT NOT NULL, -- of them unreadable
  foreigners BIGINT NOT NULL, -- of them about domains that are not ours
  kept    BIGINT NOT NULL, -- 1 = the octets are there
  UNIQUE (hash)
);
CREATE INDEX report_inputs_old ON report_inputs (kept, arrived);
CREATE INDEX report_inputs_problems ON report_inputs (id) WHERE unread + foreigners > 0;
CREATE INDEX report_inputs_sender ON report_inputs (sender, arrived);

CREATE TABLE report_octets (
  input  BIGINT NOT NULL PRIMARY KEY,
  gzip   BIGINT NOT NULL, -- 1 = compressed
  octets BLOB   NOT NULL
);

-- Documents.
CREATE TABLE reports (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  input     BIGINT NOT NULL,
  ord       BIGINT NOT NULL, -- among the documents of the input
  arrived   BIGINT NOT NULL, -- as the input
  document  TEXT   NOT NULL,
  state     TEXT   NOT NULL, -- report.State
  same_as   BIGINT NOT NULL, -- of a duplicate: the report that was there; 0 else
  problem   TEXT   NOT NULL,
  type      TEXT   NOT NULL, -- report.Type
  domain    TEXT   NOT NULL, -- of the policy
  ours      BIGINT NOT NULL, -- report_names; 0 = not ours
  org       TEXT   NOT NULL,
  email     TEXT   NOT NULL,
  report_id TEXT   NOT NULL,
  begins    BIGINT NOT NULL,
  ends      BIGINT NOT NULL,
  format    TEXT   NOT NULL, -- dmarc.Schema
  policy    TEXT   NOT NULL, -- dmarc.PublishedPolicy as JSON
  errors    TEXT   NOT NULL, -- list as JSON
  facts     TEXT   NOT NULL, -- of failure and TLS reports, as JSON
  ident     BLOB,            -- report.Facts.Key of what is counted; NULL else
  trust     TEXT   NOT NULL, -- report.Trust
  n_rows    BIGINT NOT NULL,
  messages  BIGINT NOT NULL,
  kept      BIGINT NOT NULL, -- 1 = the rows are there
  UNIQUE (ident)
);
CREATE INDEX reports_input ON reports (input, ord);
CREATE INDEX reports_domain ON reports (ours, type, ends);
CREATE INDEX reports_listed ON reports (ours, id);
CREATE INDEX reports_state ON reports (state, id);
CREATE INDEX reports_type ON reports (type, id);
CREATE INDEX reports_old ON reports (kept, arrived);

-- What many rows and cells have in common stands once. used is until when an entry is needed at least, beyond what uses it.
CREATE TABLE report_names ( -- of domains and of who reports
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB   NOT NULL,
  used BIGINT NOT NULL,
  name TEXT   NOT NULL,
  UNIQUE (hash)
);
CREATE INDEX report_names_used ON report_names (used);

CREATE TABLE report_shapes ( -- rows without source and count
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB   NOT NULL,
  used BIGINT NOT NULL,
  said TEXT   NOT NULL, -- as JSON
  UNIQUE (hash)
);
CREATE INDEX report_shapes_used ON report_shapes (used);

CREATE TABLE report_senders ( -- whom messages are attributed to
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  hash        BLOB   NOT NULL,
  used        BIGINT NOT NULL,
  signer_kind TEXT   NOT NULL,
  signer_id   TEXT   NOT NULL,
  signer_name TEXT   NOT NULL,
  how         TEXT   NOT NULL, -- report.Confidence
  source_kind TEXT   NOT NULL,
  source_id   TEXT   NOT NULL,
  source_name TEXT   NOT NULL,
  UNIQUE (hash)
);
CREATE INDEX report_senders_used ON report_senders (used);

CREATE TABLE report_groups ( -- what the messages of a cell have in common
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  hash           BLOB   NOT NULL,
  used           BIGINT NOT NULL,
  sender         BIGINT NOT NULL, -- report_senders
  header_from    TEXT   NOT NULL,
  signing_domain TEXT   NOT NULL,
  selector       TEXT   NOT NULL,
  result         TEXT   NOT NULL,
  cause          TEXT   NOT NULL, -- report.Cause
  key_id         TEXT   NOT NULL,
  dkim           BIGINT NOT NULL,
  spf            BIGINT NOT NULL,
  disposition    TEXT   NOT NULL,
  reason         TEXT   NOT NULL,
  UNIQUE (hash)
);
CREATE INDEX report_groups_used ON report_groups (used);
CREATE INDEX report_groups_signed ON report_groups (signing_domain, selector);

-- The rows of a report, some thousand in one piece: store.packRows says how.
CREATE TABLE report_rows (
  report BIGINT NOT NULL,
  part   BIGINT NOT NULL,
  packed BLOB   NOT NULL,
  PRIMARY KEY (report, part)
);

-- How many messages of a report fared alike and are attributed alike.
CREATE TABLE report_cells (
  ours     BIGINT NOT NULL, -- report_names
  day      BIGINT NOT NULL,
  report   BIGINT NOT NULL,
  grp      BIGINT NOT NULL, -- report_groups
  org      BIGINT NOT NULL, -- report_names
  vouched  BIGINT NOT NULL,
  messages BIGINT NOT NULL,
  PRIMARY KEY (ours, day, report, grp)
) WITHOUT ROWID;
CREATE INDEX report_cells_report ON report_cells (report);

-- The sums of the cells, by day and sender. ours 0 = all domains together.
CREATE TABLE report_daily (
  ours       BIGINT NOT NULL,
  day        BIGINT NOT NULL,
  sender     BIGINT NOT NULL, -- report_senders
  vouched    BIGINT NOT NULL,
  messages   BIGINT NOT NULL,
  both_pass  BIGINT NOT NULL, -- DKIM and SPF, both aligned
  only_dkim  BIGINT NOT NULL,
  only_spf   BIGINT NOT NULL,
  quarantine BIGINT NOT NULL, -- disposition
  reject     BIGINT NOT NULL,
  PRIMARY KEY (ours, day, sender, vouched)
) WITHOUT ROWID;

-- The same without senders, for series over a long time.
CREATE TABLE report_totals (
  ours       BIGINT NOT NULL,
  day        BIGINT NOT NULL,
  vouched    BIGINT NOT NULL,
  messages   BIGINT NOT NULL,
  both_pass  BIGINT NOT NULL,
  only_dkim  BIGINT NOT NULL,
  only_spf   BIGINT NOT NULL,
  quarantine BIGINT NOT NULL,
  reject     BIGINT NOT NULL,
  PRIMARY KEY (ours, day, vouched)
) WITHOUT ROWID;

-- Up to where reports were counted anew.
CREATE TABLE report_counting (
  id         BIGINT NOT NULL PRIMARY KEY, -- 1
  roll       TEXT   NOT NULL, -- report.Roll.Fingerprint
  reader     BIGINT NOT NULL, -- report.ReaderVersion
  step       TEXT   NOT NULL, -- report.CountingStep
  after      TEXT   NOT NULL  -- id of a report or input
);

-- What Google Postmaster Tools say: a second witness beside the reports. Shares are NULL where Google does not say.
CREATE TABLE report_postmaster (
  domain     TEXT   NOT NULL, -- of Postmaster Tools
  day        BIGINT NOT NULL,
  dkim       DOUBLE PRECISION,
  spf        DOUBLE PRECISION,
  dmarc      DOUBLE PRECISION,
  spam       DOUBLE PRECISION,
  reputation TEXT   NOT NULL,
  errors     TEXT   NOT NULL, -- list of postmaster.DeliveryError as JSON
  fetched    BIGINT NOT NULL,
  PRIMARY KEY (domain, day)
) WITHOUT ROWID;
CREATE INDEX report_postmaster_day ON report_postmaster (day);

-- Up to where they were asked, and why they do not answer. domain '' = the account.
CREATE TABLE report_postmaster_asked (
  domain  TEXT   NOT NULL,
  asked   BIGINT NOT NULL,
  since   BIGINT NOT NULL, -- days; 0 = nothing is stored
  until   BIGINT NOT NULL,
  problem TEXT   NOT NULL,
  hint    TEXT   NOT NULL,
  PRIMARY KEY (domain)
);
