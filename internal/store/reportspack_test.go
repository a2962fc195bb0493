package store

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/report"
)

// FuzzPackedRows reads pieces of rows that are damaged. Nothing is read beyond the end, and what is read whole is written as it was read.
func FuzzPackedRows(f *testing.F) {
	facts := aggregate("1", 1)
	f.Add(packRows(facts.Rows, []int64{7, 1, 1 << 40, 0})[0])
	f.Add([]byte{packVersion, 1, 5, 9})
	f.Add([]byte{packVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{packVersion, 1, 1, 2, 0, 0})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, packed []byte) {
		var rows []report.Row
		var ids []int64
		index := make(map[int64]int)
		err := unpackRows(packed, func(shape int64, source netip.Addr, count int64) {
			i, ok := index[shape]
			if !ok {
				i = len(ids)
				index[shape], ids = i, append(ids, shape)
			}
			rows = append(rows, report.Row{Shape: i, Source: source, Count: count})
		})
		if len(rows) > len(packed) {
			t.Fatalf("%d rows in %d octets", len(rows), len(packed))
		}
		for _, r := range rows {
			if r.Count < 0 { // more than a row has; none is written so
				return
			}
		}
		if err != nil || len(rows) == 0 {
			return
		}
		var again []report.Row
		for _, part := range packRows(rows, ids) {
			if err := unpackRows(part, func(shape int64, source netip.Addr, count int64) {
				again = append(again, report.Row{Shape: index[shape], Source: source, Count: count})
			}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(rows, again, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	})
}

// A shape that is too long loses the words for people first.
func TestLongShape(t *testing.T) {
	long := strings.Repeat("x", maxReportText+9)
	var row dmarc.Row
	for range 200 {
		row.DKIMResults = append(row.DKIMResults, dmarc.DKIMResult{Domain: long, Selector: long, Result: "pass", Human: strings.Repeat("\u2028", 85)})
		row.Reasons = append(row.Reasons, dmarc.Reason{Type: "other", Comment: long})
	}
	said, err := packShape(&row)
	must(t, err)
	back, err := unpackShape(said)
	must(t, err)
	if len(said) > maxShapeSize || len(back.DKIMResults) != 10 || back.DKIMResults[9].Result != "pass" || back.DKIMResults[0].Human != "" || len(back.DKIMResults[0].Domain) != maxReportText {
		t.Errorf("%d octets, %d signatures", len(said), len(back.DKIMResults))
	}
	if _, err := unpackShape("{"); err == nil {
		t.Error("a damaged shape is read")
	}
}

// What shrinks is stored compressed, and comes back as it was.
func TestPackOctets(t *testing.T) {
	random := make([]byte, 100<<10)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	for name, c := range map[string]struct {
		octets []byte
		zipped bool
	}{
		"text":           {bytes.Repeat([]byte("<record>"), 50_000), true},
		"short text":     {[]byte("<feedback>"), false},
		"nothing":        {nil, false},
		"noise":          {random, false},
		"gzip":           {append([]byte{0x1f, 0x8b}, bytes.Repeat([]byte("x"), 1000)...), false},
		"noise, at last": {append(bytes.Repeat([]byte("<record>"), 8<<10), random...), true},
	} {
		packed, zipped, err := pack(c.octets)
		must(t, err)
		back := packed
		if zipped {
			back, err = unpack(packed)
			must(t, err)
		}
		if zipped != c.zipped || !bytes.Equal(back, c.octets) || len(packed) > len(c.octets)+len(c.octets)/100 {
			t.Errorf("%s: %d octets become %d, compressed %v", name, len(c.octets), len(packed), zipped)
		}
	}
	if _, err := unpack([]byte("no gzip")); err == nil {
		t.Error("damage is not noticed")
	}
}
