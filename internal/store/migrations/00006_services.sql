-- What stands behind the records of outside services, and which keys were seen there since when.

-- +goose Up

ALTER TABLE records ADD COLUMN behind TEXT NOT NULL DEFAULT '{}'; -- evidence.Behind as JSON
ALTER TABLE records ADD COLUMN seen_keys TEXT NOT NULL DEFAULT '[]'; -- list of lifecycle.SeenKey as JSON, oldest first
