-- More ways to publish: where the API, the zone's file or the program is, and where its credential lies.

-- +goose Up

ALTER TABLE publishers ADD COLUMN credential TEXT NOT NULL DEFAULT ''; -- a place, never the secret
ALTER TABLE publishers ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
ALTER TABLE publishers ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE publishers ADD COLUMN resource_group TEXT NOT NULL DEFAULT '';
ALTER TABLE publishers ADD COLUMN zone_id TEXT NOT NULL DEFAULT '';
ALTER TABLE publishers ADD COLUMN file TEXT NOT NULL DEFAULT '';
ALTER TABLE publishers ADD COLUMN program TEXT NOT NULL DEFAULT '';
