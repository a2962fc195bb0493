-- How signatures are made: said by a domain, and by an assignment instead of its domain.

-- +goose Up

ALTER TABLE domains ADD COLUMN subdomains BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domains ADD COLUMN signing TEXT NOT NULL DEFAULT '{}'; -- inventory.Signing as JSON

ALTER TABLE assignments ADD COLUMN no_key TEXT NOT NULL DEFAULT ''; -- '' = as the domain says
ALTER TABLE assignments ADD COLUMN subdomains TEXT NOT NULL DEFAULT 'null'; -- JSON: true, false, null = as the domain says
ALTER TABLE assignments ADD COLUMN signing TEXT NOT NULL DEFAULT '{}'; -- inventory.Signing as JSON, over the domain's
