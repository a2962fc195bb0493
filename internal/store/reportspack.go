package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/report"
)

// Rows are stored in pieces of rowsPerPart, because a row by itself would cost a database several times its own seven octets, and nobody looks for a row but by way of its
// report. A piece begins with packVersion, the number of its shapes and their ids; then come the rows until its end: three times the index of the shape plus the kind of the
// address, the address, the number of messages. All numbers are varints.
const (
	rowsPerPart = 4096
	packVersion = 1

	noAddress = 0
	address4  = 1
	address6  = 2
	kinds     = 3
)

// packRows returns the pieces of a report; ids are those of its shapes.
func packRows(rows []report.Row, ids []int64) [][]byte {
	parts := make([][]byte, 0, (len(rows)+rowsPerPart-1)/rowsPerPart)
	local := make([]int32, len(ids)) // index within the piece plus one
	for start := 0; start < len(rows); start += rowsPerPart {
		piece := rows[start:min(start+rowsPerPart, len(rows))]
		var used []int
		for _, r := range piece {
			if local[r.Shape] == 0 {
				used = append(used, r.Shape)
				local[r.Shape] = int32(len(used))
			}
		}
		b := make([]byte, 0, 16+4*len(used)+10*len(piece))
		b = append(b, packVersion)
		b = binary.AppendUvarint(b, uint64(len(used)))
		for _, i := range used {
			b = binary.AppendUvarint(b, uint64(ids[i]))
		}
		for _, r := range piece {
			kind := uint64(noAddress)
			switch {
			case r.Source.Is4():
				kind = address4
			case r.Source.Is6():
				kind = address6
			}
			b = binary.AppendUvarint(b, uint64(local[r.Shape]-1)*kinds+kind)
			switch kind {
			case address4:
				a := r.Source.As4()
				b = append(b, a[:]...)
			case address6:
				a := r.Source.As16()
				b = append(b, a[:]...)
			}
			b = binary.AppendUvarint(b, uint64(max(r.Count, 0)))
		}
		for _, i := range used {
			local[i] = 0
		}
		parts = append(parts, b)
	}
	return parts
}

// unpackRows calls each for every row of a piece; shape is the id of its shape.
func unpackRows(b []byte, each func(shape int64, source netip.Addr, count int64)) error {
	damaged := fmt.Errorf("a piece of rows is damaged")
	number := func() (uint64, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
		return v, true
	}
	if len(b) == 0 || b[0] != packVersion {
		return damaged
	}
	b = b[1:]
	n, ok := number()
	if !ok || n > uint64(len(b)) {
		return damaged
	}
	shapes := make([]int64, n)
	for i := range shapes {
		v, ok := number()
		if !ok {
			return damaged
		}
		shapes[i] = int64(v)
	}
	for len(b) > 0 {
		v, ok := number()
		if !ok || v/kinds >= n {
			return damaged
		}
		var source netip.Addr
		size := [kinds]int{0, 4, 16}[v%kinds]
		if len(b) < size {
			return damaged
		}
		if size > 0 {
			source, _ = netip.AddrFromSlice(b[:size])
			b = b[size:]
		}
		count, ok := number()
		if !ok {
			return damaged
		}
		each(shapes[v/kinds], source, int64(count))
	}
	return nil
}

// shapeSaid is the JSON of a shape. Its names are short because they stand in every term.
type shapeSaid struct {
	Source       string      `json:"ip,omitempty"` // what was no address
	Disposition  string      `json:"p,omitempty"`
	DKIM         string      `json:"dkim,omitempty"`
	SPF          string      `json:"spf,omitempty"`
	Reasons      [][2]string `json:"why,omitempty"`
	HeaderFrom   string      `json:"from,omitempty"`
	EnvelopeFrom string      `json:"mfrom,omitempty"`
	EnvelopeTo   string      `json:"to,omitempty"`
	Signatures   [][4]string `json:"d,omitempty"` // domain, selector, result, human
	SPFResults   []spfSaid   `json:"s,omitempty"`
}

type spfSaid [4]string // domain, scope, result, human

// packShape writes a shape. One that is too long loses the words for people, and then all but the first signatures.
func packShape(r *dmarc.Row) (string, error) {
	cut := func(s string) string { return cutText(s, maxReportText) }
	said := shapeSaid{
		Source: cut(r.SourceIP), Disposition: cut(r.Disposition), DKIM: cut(string(r.DKIM)), SPF: cut(string(r.SPF)),
		HeaderFrom: cut(r.HeaderFrom), EnvelopeFrom: cut(r.EnvelopeFrom), EnvelopeTo: cut(r.EnvelopeTo),
	}
	for _, x := range r.Reasons[:min(len(r.Reasons), dmarc.MaxDKIMResults)] {
		said.Reasons = append(said.Reasons, [2]string{cut(x.Type), cut(x.Comment)})
	}
	for _, x := range r.DKIMResults[:min(len(r.DKIMResults), dmarc.MaxDKIMResults)] {
		said.Signatures = append(said.Signatures, [4]string{cut(x.Domain), cut(x.Selector), cut(x.Result), cut(x.Human)})
	}
	for _, x := range r.SPFResults[:min(len(r.SPFResults), dmarc.MaxDKIMResults)] {
		said.SPFResults = append(said.SPFResults, spfSaid{cut(x.Domain), cut(x.Scope), cut(x.Result), cut(x.Human)})
	}
	out, err := toJSON(said)
	if err == nil && len(out) > maxShapeSize {
		for i := range said.Reasons {
			said.Reasons[i][1] = ""
		}
		for i := range said.Signatures {
			said.Signatures[i][3] = ""
		}
		for i := range said.SPFResults {
			said.SPFResults[i][3] = ""
		}
		const few = 10
		said.Reasons, said.Signatures, said.SPFResults = said.Reasons[:min(len(said.Reasons), few)], said.Signatures[:min(len(said.Signatures), few)], said.SPFResults[:min(len(said.SPFResults), few)]
		out, err = toJSON(said)
	}
	return out, err
}

func unpackShape(s string) (r dmarc.Row, err error) {
	var said shapeSaid
	if err := json.Unmarshal([]byte(s), &said); err != nil {
		return r, err
	}
	r = dmarc.Row{
		SourceIP: said.Source, Disposition: said.Disposition, DKIM: dmarc.Result(said.DKIM), SPF: dmarc.Result(said.SPF),
		HeaderFrom: said.HeaderFrom, EnvelopeFrom: said.EnvelopeFrom, EnvelopeTo: said.EnvelopeTo,
	}
	for _, x := range said.Reasons {
		r.Reasons = append(r.Reasons, dmarc.Reason{Type: x[0], Comment: x[1]})
	}
	for _, x := range said.Signatures {
		r.DKIMResults = append(r.DKIMResults, dmarc.DKIMResult{Domain: x[0], Selector: x[1], Result: x[2], Human: x[3]})
	}
	for _, x := range said.SPFResults {
		r.SPFResults = append(r.SPFResults, dmarc.SPFResult{Domain: x[0], Scope: x[1], Result: x[2], Human: x[3]})
	}
	return r, nil
}
