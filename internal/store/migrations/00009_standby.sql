-- Assignments that keep a further key ready.

-- +goose Up

ALTER TABLE assignments ADD COLUMN standby BIGINT NOT NULL DEFAULT 0; -- 1 = yes
