-- Slots whose keys lie in a zone of ours, behind CNAMEs that stand once; and with which NS and SOA records our zones are served.

-- +goose Up

ALTER TABLE assignments ADD COLUMN through TEXT NOT NULL DEFAULT ''; -- a publisher; '' = the slots' records lie in the domain's own zone
ALTER TABLE records ADD COLUMN alias TEXT NOT NULL DEFAULT ''; -- the name whose CNAME leads here
ALTER TABLE records ADD COLUMN publisher TEXT NOT NULL DEFAULT ''; -- '' = the domain's
ALTER TABLE zones ADD COLUMN served_as TEXT NOT NULL DEFAULT ''; -- names and times of the name server
