package store

import (
	"strings"
	"time"

	"github.com/postseal/postseal/internal/report"
)

// What is stored of a report at most. The reader of reports has limits of its own, about the same; these hold whoever calls.
const (
	// maxReportText is the longest text of a report that is stored, in octets; longer ones are cut.
	maxReportText = 255
	// maxInputText is the longest text about an input: paths and verdicts are longer than names.
	maxInputText = 1000
	// maxReportRows is how many rows of a report are stored: a hundred times what the largest receivers send.
	maxReportRows = 10_000_000
	// maxReportShapes is how many different rows a report has. Each costs a term of some hundred octets.
	maxReportShapes = 200_000
	// maxShapeSize is the longest term of a shape, in octets: a hundred signatures with everything said about each.
	maxShapeSize = 64 << 10
	// maxReportCells is how many cells of a report are told apart. Those beyond, the smallest, lose the names of domains and selectors: a forged report must not
	// fill the dictionary.
	maxReportCells = 10_000
	// maxReportMessages is how many messages a report tells of at most; beyond, it is not believed. Sums of all reports stay far from what 64 bits hold.
	maxReportMessages = 1 << 40
	// maxFactsSize is the longest JSON of a failure or TLS report, in octets.
	maxFactsSize = 4 << 20
	// maxReportErrors is how many errors of the reporter are stored.
	maxReportErrors = 100
	// maxInputReports is how many documents of one input are stored.
	maxInputReports = 1000
)

// cutText makes a text storable: valid UTF-8 without NUL, and not longer than this.
func cutText(s string, longest int) string {
	if s = text(s); len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "")
	}
	return s
}

// Days and times outside of what anyone means are stored as the nearest that somebody could mean.
const (
	lastYear  = 9999
	microsDay = int64(24 * time.Hour / time.Microsecond)
)

func boundedMicros(t time.Time) int64 {
	switch {
	case t.IsZero() || t.Unix() < 0:
		return 0
	case t.Year() > lastYear || t.Unix() > 1<<40: // beyond, Year itself is not to be relied on
		t = time.Date(lastYear, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	return t.UnixMicro()
}

func dayOf(t time.Time) int64         { return boundedMicros(t) / microsDay }
func fromDay(n int64) (day time.Time) { return time.UnixMicro(n * microsDay).UTC() }

// limited returns why a report is not stored; "" when it is.
func limited(f *report.Facts) string {
	var sum int64
	for _, r := range f.Rows {
		if sum += min(max(r.Count, 0), maxReportMessages+1); sum > maxReportMessages {
			break
		}
	}
	switch {
	case len(f.Rows) > maxReportRows:
		return "it has more than 10,000,000 records"
	case len(f.Shapes) > maxReportShapes:
		return "it has more than 200,000 different records"
	case sum > maxReportMessages || f.Messages > maxReportMessages:
		return "it tells of more messages than anybody sends"
	}
	for _, r := range f.Rows {
		if r.Shape < 0 || r.Shape >= len(f.Shapes) {
			return "its records were not understood"
		}
	}
	return ""
}
