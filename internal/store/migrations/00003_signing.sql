-- How signatures are made: said by a domain, and by an assignment instead of its domain. And no acknowledgement that
-- belongs to an older wish.

-- +goose Up

ALTER TABLE domains ADD COLUMN subdomains BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domains ADD COLUMN signing TEXT NOT NULL DEFAULT '{}'; -- inventory.Signing as JSON

ALTER TABLE assignments ADD COLUMN no_key TEXT NOT NULL DEFAULT ''; -- '' = as the domain says
ALTER TABLE assignments ADD COLUMN subdomains TEXT NOT NULL DEFAULT 'null'; -- JSON: true, false, null = as the domain says
ALTER TABLE assignments ADD COLUMN signing TEXT NOT NULL DEFAULT '{}'; -- inventory.Signing as JSON, over the domain's

-- Earlier programs let an acknowledgement stand when the wish changed. What the holder cannot have seen yet, or what is
-- another word than the wish, is acknowledged with its next report.
UPDATE holdings SET acked = '' WHERE acked <> want
  OR want_version > (SELECT a.applied FROM agents a WHERE a.server_id = holdings.server_id);
