package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// Octets fills report.Archive.
func (r *Reports) Octets(ctx context.Context, input string) (a report.Arrival, err error) {
	id, err := idOf(input, inputPrefix)
	if err != nil {
		return a, err
	}
	var packed []byte
	var zipped bool
	err = r.read(ctx, "read a report's input", func(t *tx) error {
		ok, err := t.row(ctx, `SELECT i.way, i.place, i.name, i.arrived, i.sender, i.trust, i.verdict, o.gzip, o.octets
			FROM report_inputs i JOIN report_octets o ON o.input = i.id WHERE i.id = $1`, []any{id},
			&a.Way, &a.Place, &a.Name, at(&a.At), &a.Sender, &a.Trust, &a.Verdict, truth(&zipped), &packed)
		if err == nil && !ok {
			return fault.New(fault.NotFound, "there is no input %s, or its octets are kept no more", input)
		}
		return err
	})
	if err != nil {
		return report.Arrival{}, err
	}
	if a.Octets = packed; zipped {
		a.Octets, err = unpack(packed)
	}
	return a, err
}

// CountFrom fills report.Archive.
func (r *Reports) CountFrom(ctx context.Context, sender string, since time.Time) (v report.Volume, err error) {
	err = r.read(ctx, "count what a sender sent", func(t *tx) error {
		_, err := t.row(ctx, `SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM report_inputs WHERE sender = $1 AND arrived >= $2`,
			[]any{cutText(sender, maxReportText), since}, &v.Inputs, &v.Octets)
		return err
	})
	return v, err
}

// pack compresses octets when that makes them smaller by a tenth at least; most reports arrive compressed.
func pack(octets []byte) ([]byte, bool, error) {
	if bytes.HasPrefix(octets, []byte{0x1f, 0x8b}) || bytes.HasPrefix(octets, []byte("PK\x03\x04")) { // gzip, zip
		return octets, false, nil
	}
	// What does not shrink in its beginning does not shrink: it is not worth the time.
	const tried = 64 << 10
	begin := octets[:min(len(octets), tried)]
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err == nil {
		_, err = w.Write(begin)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil || b.Len() > len(begin)*9/10 {
		return append([]byte{}, octets...), false, err
	}
	if _, err = w.Write(octets[len(begin):]); err == nil {
		err = w.Close()
	}
	return b.Bytes(), true, err
}

// unpack inflates what pack compressed, which was not larger than an input may be.
func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("inflate an input: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, report.MaxInput))
	if err != nil {
		return nil, fmt.Errorf("inflate an input: %w", err)
	}
	return out, nil
}

// Ids are numbers in the order in which things were stored, with a word before them so that nobody mixes them up.
const (
	inputPrefix  = "in_"
	reportPrefix = "rep_"
)

func inputID(id int64) string  { return inputPrefix + strconv.FormatInt(id, 10) }
func reportID(id int64) string { return reportPrefix + strconv.FormatInt(id, 10) }

// idOf reads an id.
func idOf(s, prefix string) (int64, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	id, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || id <= 0 {
		return 0, fault.New(fault.NotFound, "there is no %q; ids look like %s123", cutText(s, maxReportText), prefix)
	}
	return id, nil
}
