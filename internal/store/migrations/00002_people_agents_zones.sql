-- Who may come in (agents, people, programs), what agents could not sign, and the zones that Postseal serves itself.

-- +goose Up

CREATE TABLE unsigned (
  server_id TEXT   NOT NULL REFERENCES signers (id),
  reason    TEXT   NOT NULL,
  messages  BIGINT NOT NULL,
  PRIMARY KEY (server_id, reason)
);

CREATE TABLE certificates (
  serial       TEXT   NOT NULL PRIMARY KEY,
  server_id    TEXT   NOT NULL REFERENCES signers (id),
  key_hash     TEXT   NOT NULL, -- hex
  certificate  TEXT   NOT NULL, -- base64 of DER
  token_id     TEXT   NOT NULL,
  issued       BIGINT NOT NULL,
  not_after    BIGINT NOT NULL,
  first_used   BIGINT NOT NULL,
  refused_from BIGINT NOT NULL -- 0 = accepted
);
CREATE INDEX certificates_server ON certificates (server_id, issued);

CREATE TABLE join_tokens (
  id          TEXT   NOT NULL PRIMARY KEY,
  secret_hash TEXT   NOT NULL, -- hex
  server_id   TEXT   NOT NULL, -- '' = a pool's token
  pool_id     TEXT   NOT NULL,
  max_uses    BIGINT NOT NULL,
  uses        BIGINT NOT NULL,
  network     TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  created_by  TEXT   NOT NULL,
  expires     BIGINT NOT NULL,
  revoked     BIGINT NOT NULL,
  used_at     BIGINT NOT NULL,
  used_key    TEXT   NOT NULL -- hex
);
CREATE INDEX join_tokens_server ON join_tokens (server_id);

CREATE TABLE users (
  name       TEXT   NOT NULL PRIMARY KEY,
  role       TEXT   NOT NULL,
  labels     TEXT   NOT NULL, -- JSON
  created    BIGINT NOT NULL,
  created_by TEXT   NOT NULL,
  disabled   BIGINT NOT NULL,
  revision   BIGINT NOT NULL
);

CREATE TABLE access_tokens (
  id          TEXT   NOT NULL PRIMARY KEY,
  user_name   TEXT   NOT NULL REFERENCES users (name),
  note        TEXT   NOT NULL,
  secret_hash TEXT   NOT NULL, -- hex
  created     BIGINT NOT NULL,
  created_by  TEXT   NOT NULL,
  expires     BIGINT NOT NULL,
  revoked     BIGINT NOT NULL,
  last_used   BIGINT NOT NULL
);
CREATE INDEX access_tokens_user ON access_tokens (user_name);

-- Zones of the built-in name server. A row stays when its publisher leaves, so that its serial never goes back.
CREATE TABLE zones (
  name   TEXT   NOT NULL PRIMARY KEY,
  serial BIGINT NOT NULL
);

CREATE TABLE zone_records (
  zone     TEXT   NOT NULL REFERENCES zones (name),
  name     TEXT   NOT NULL,
  type     TEXT   NOT NULL,
  position BIGINT NOT NULL,
  ttl      BIGINT NOT NULL, -- seconds
  value    TEXT   NOT NULL, -- octets outside printable ASCII as \DDD
  PRIMARY KEY (zone, name, type, position)
);
