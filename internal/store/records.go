package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

const recordColumns = `r.id, r.domain, r.purpose, r.assignment_id, r.key_id, r.name, r.type, r.ttl, r.want, r.written, r.written_at, r.pending,
	r.agreed_since, r.first_agreed, r.positive_ttl, r.negative_ttl, r.last, r.adopted, r.gone, r.condition, r.alias, r.publisher, r.revision, r.behind, r.seen_keys`

// RecordFilter selects a page of records.
type RecordFilter struct {
	Domain  string   // "" = every domain
	Name    string   // only this name; "" = all
	Pending bool     // only those that wait for a person
	After   string   // names after this one, exclusive
	Limit   int      // > 0; all records of the last name are returned even when that exceeds it
	Labels  []string // of domains with at least one of these; empty = all
}

// Records returns a page of records by name and type, those of managed keys included (KeyID is set).
func (s *Store) Records(ctx context.Context, f RecordFilter) (records []lifecycle.Record, err error) {
	where, args := []string{"r.name > $1"}, []any{f.After}
	if f.Domain != "" {
		args = append(args, f.Domain)
		where = append(where, fmt.Sprintf("r.domain = $%d", len(args)))
	}
	if f.Name != "" {
		args = append(args, f.Name)
		where = append(where, fmt.Sprintf("r.name = $%d", len(args)))
	}
	if f.Pending {
		where = append(where, "r.pending = 1")
	}
	if len(f.Labels) > 0 {
		where = append(where, `r.domain IN (SELECT domain FROM domain_labels WHERE label IN (`+marks(len(args)+1, len(f.Labels))+`))`)
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	all := strings.Join(where, " AND ")
	n := len(args)
	err = s.read(ctx, "read records", func(t *tx) error {
		// The last name of the page, then everything up to it.
		var last string
		ok, err := t.row(ctx, fmt.Sprintf(`SELECT MAX(name) FROM (SELECT r.name AS name FROM records r WHERE %s ORDER BY r.name LIMIT $%d) AS page HAVING COUNT(*) > 0`,
			all, n+1), append(slices.Clone(args), f.Limit), &last)
		if err != nil || !ok {
			return err
		}
		records, err = list(ctx, t, fmt.Sprintf(`SELECT %s FROM records r WHERE %s AND r.name <= $%d ORDER BY r.name, r.type, r.id`, recordColumns, all, n+1),
			append(slices.Clone(args), last), scanRecord)
		return err
	})
	return records, err
}

// recordsOf reads the records of a domain that are not of managed keys, by name.
func (t *tx) recordsOf(ctx context.Context, domain string) ([]lifecycle.Record, error) {
	return list(ctx, t, `SELECT `+recordColumns+` FROM records r WHERE r.domain = $1 AND r.key_id = '' ORDER BY r.name, r.type`, []any{domain}, scanRecord)
}

func scanRecord(s scanner, r *lifecycle.Record) error { return s(recordInto(r)...) }

func recordInto(r *lifecycle.Record) []any {
	return []any{&r.ID, &r.Domain, &r.Purpose, &r.AssignmentID, &r.KeyID, &r.Name, &r.Type, lasts(&r.TTL), &r.Want, &r.Written, at(&r.WrittenAt), truth(&r.Pending),
		at(&r.AgreedSince), at(&r.FirstAgreed), lasts(&r.PositiveTTL), lasts(&r.NegativeTTL), fromJSON(&r.Last), &r.Adopted, at(&r.Gone), &r.Condition, &r.Alias, &r.Publisher, &r.Revision, fromJSON(&r.Behind), fromJSON(&r.Keys)}
}

// saveRecord writes a record that is not of a managed key.
func (t *tx) saveRecord(ctx context.Context, r lifecycle.Record) error {
	if r.Revision == 0 {
		r.KeyID = ""
		return t.addRecord(ctx, r)
	}
	n, err := t.exec(ctx, `UPDATE records SET revision = revision + 1 WHERE id = $1 AND revision = $2 AND domain = $3 AND key_id = ''`, r.ID, r.Revision, r.Domain)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "the record at %s changed meanwhile", r.Name)
	}
	return t.updateRecord(ctx, r, `id`, r.ID)
}

func (t *tx) addRecord(ctx context.Context, r lifecycle.Record) error {
	last, behind, seen, err := sightingsJSON(r)
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, `INSERT INTO records (id, domain, purpose, assignment_id, key_id, name, type, ttl, want, written, written_at, pending,
		agreed_since, first_agreed, positive_ttl, negative_ttl, last, adopted, gone, condition, behind, seen_keys, alias, publisher, revision)
		VALUES (`+marks(1, 24)+`, 1) ON CONFLICT DO NOTHING`,
		r.ID, r.Domain, r.Purpose, r.AssignmentID, r.KeyID, r.Name, r.Type, r.TTL, r.Want, r.Written, r.WrittenAt, r.Pending,
		r.AgreedSince, r.FirstAgreed, r.PositiveTTL, r.NegativeTTL, last, r.Adopted, r.Gone, r.Condition, behind, seen, r.Alias, r.Publisher)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "there is a record at %s already", r.Name)
	}
	return err
}

// updateRecord writes what may change of a record; column is the one that finds it. Name, type and whose it is never change.
func (t *tx) updateRecord(ctx context.Context, r lifecycle.Record, column, id string) error {
	last, behind, seen, err := sightingsJSON(r)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE records SET purpose = $1, assignment_id = $2, ttl = $3, want = $4, written = $5, written_at = $6, pending = $7,
		agreed_since = $8, first_agreed = $9, positive_ttl = $10, negative_ttl = $11, last = $12, adopted = $13, gone = $14, condition = $15, behind = $16, seen_keys = $17, publisher = $18
		WHERE `+column+` = $19 AND key_id = $20`,
		r.Purpose, r.AssignmentID, r.TTL, r.Want, r.Written, r.WrittenAt, r.Pending, r.AgreedSince, r.FirstAgreed, r.PositiveTTL, r.NegativeTTL,
		last, r.Adopted, r.Gone, r.Condition, behind, seen, r.Publisher, id, r.KeyID)
	return err
}

// sightingsJSON writes what was seen of a record.
func sightingsJSON(r lifecycle.Record) (last, behind, seen string, err error) {
	if last, err = toJSON(r.Last); err != nil {
		return "", "", "", err
	}
	if behind, err = toJSON(r.Behind); err != nil {
		return "", "", "", err
	}
	seen, err = toJSON(r.Keys)
	return last, behind, seen, err
}
