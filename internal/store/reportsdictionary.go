package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Texts that many rows and cells share stand once, in tables with id, hash and used. used says until when a term stays even when nothing refers to it: whoever is
// about to refer to one moves it into the future first, in the same transaction. So Prune can delete terms without looking for references: when nothing that arrived before
// a time is left, a term that was not used since then is not needed. What was stored since then has moved it.
const (
	// termStays is how long a term stays after it was used; termMoves is how near the end is moved, so that a busy term is written once a day. What lies between bounds how much
	// the clocks of several processes may differ.
	termStays = 48 * time.Hour
	termMoves = 24 * time.Hour
)

type dictionary struct {
	table   string
	columns []string
}

func nameTerms() dictionary  { return dictionary{"report_names", []string{"name"}} }
func shapeTerms() dictionary { return dictionary{"report_shapes", []string{"said"}} }
func senderTerms() dictionary {
	return dictionary{"report_senders", []string{"signer_kind", "signer_id", "signer_name", "how", "source_kind", "source_id", "source_name"}}
}
func groupTerms() dictionary {
	return dictionary{"report_groups", []string{"sender", "header_from", "signing_domain", "selector", "result", "cause", "key_id", "dkim", "spf", "disposition", "reason"}}
}

type hash16 [16]byte

type term struct {
	hash   hash16
	values []any
}

// hashOf tells lists of texts apart.
func hashOf(texts ...string) hash16 {
	var b []byte
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return hash16(sum[:16])
}

// terms returns the ids of terms, which are made when they are not there.
func (t *tx) terms(ctx context.Context, d dictionary, all []term) (map[hash16]int64, error) {
	// In one order: transactions that wait for each other's new terms do not wait in a circle.
	slices.SortFunc(all, func(a, b term) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	all = slices.CompactFunc(all, func(a, b term) bool { return a.hash == b.hash })
	ids := make(map[hash16]int64, len(all))
	keep := func(s scanner) error {
		var id int64
		var hash []byte
		if err := s(&id, &hash); err != nil || len(hash) != len(hash16{}) {
			return err
		}
		ids[hash16(hash)] = id
		return nil
	}
	for chunk := range slices.Chunk(all, maxMarks) {
		args := []any{t.now.Add(termMoves)}
		for _, e := range chunk {
			args = append(args, e.hash[:])
		}
		if err := t.rows(ctx, `SELECT id, hash FROM `+d.table+` WHERE used >= $1 AND hash IN (`+t.d.unnamed(2, len(chunk))+`)`, args, keep); err != nil {
			return nil, err
		}
	}
	var rest [][]any
	for _, e := range all {
		if _, ok := ids[e.hash]; !ok {
			rest = append(rest, append([]any{e.hash[:], t.now.Add(termStays)}, e.values...))
		}
	}
	// The columns as well: a group's sender may have gone and come again with another id.
	again := ` ON CONFLICT (hash) DO UPDATE SET used = excluded.used`
	for _, c := range d.columns {
		again += ", " + c + " = excluded." + c
	}
	err := t.insert(ctx, d.table, append([]string{"hash", "used"}, d.columns...), rest, again+` RETURNING id, hash`, keep)
	if err == nil && len(ids) != len(all) {
		err = fmt.Errorf("%s: %d of %d terms", d.table, len(ids), len(all))
	}
	return ids, err
}

// maxInsertMarks bounds the arguments of one INSERT; with more, statements get longer but not faster.
const maxInsertMarks = 2000

// unnamed returns marks for n arguments of a statement that takes all of them in order. SQLite looks for each name among all others, and for these it does not.
func (d dialect) unnamed(from, n int) string {
	if !d.sqlite() {
		return marks(from, n)
	}
	return strings.Repeat("?, ", n-1) + "?"
}

// insert writes rows, many with each statement. each gets what the statements return.
func (t *tx) insert(ctx context.Context, table string, into []string, rows [][]any, end string, each func(scanner) error) error {
	for chunk := range slices.Chunk(rows, max(1, maxInsertMarks/len(into))) {
		var b strings.Builder
		args := make([]any, 0, len(chunk)*len(into))
		fmt.Fprintf(&b, `INSERT INTO %s (%s) VALUES `, table, strings.Join(into, ", "))
		for i, row := range chunk {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + t.d.unnamed(i*len(into)+1, len(into)) + ")")
			args = append(args, row...)
		}
		b.WriteString(end)
		if each == nil {
			if _, err := t.exec(ctx, b.String(), args...); err != nil {
				return err
			}
			continue
		}
		if err := t.rows(ctx, b.String(), args, each); err != nil {
			return err
		}
	}
	return nil
}
