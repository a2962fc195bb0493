package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// corpusFolder has the reports of other projects, with what each says.
const corpusFolder = "../../shared/testdata/dmarc"

// corpusFound is what the readers find in the reports of other projects.
type corpusFound struct {
	Cases   int            `json:"cases"`      // that are reports
	Refused int            `json:"no_reports"` // that are none
	Readers []*corpusCount `json:"readers"`
	Details []string       `json:"details"` // each difference between dmarc-cat and ours
}

// corpusCount is one reader's.
type corpusCount struct {
	Reader     string `json:"reader"`
	Right      int    `json:"right"`       // reports with as many rows and messages as its project says
	Wrong      int    `json:"wrong"`       // reports with others
	NotRead    int    `json:"not_read"`    // reports that it does not read
	Refused    int    `json:"refused"`     // what is no report and is refused
	Both       int    `json:"both"`        // read by it and by ours, with the same counts
	Differ     int    `json:"differ"`      // read by both, with other counts
	OnlyOurs   int    `json:"only_ours"`   // read by ours alone
	OnlyTheirs int    `json:"only_theirs"` // read by it alone
}

// corpusReport is a case of a manifest.
type corpusReport struct {
	source string
	File   string          `json:"file"`
	Type   string          `json:"type"`
	Parse  string          `json:"parse"`
	Expect json.RawMessage `json:"expect"` // an empty list when it is no report
}

// compareCorpus lets each reader read every case. nil when the cases are not there.
func compareCorpus(ctx context.Context, dir, self string, all []reader) (*corpusFound, error) {
	manifests, _ := filepath.Glob(corpusFolder + "/*/manifest.json")
	if len(manifests) == 0 {
		return nil, nil
	}
	result := &corpusFound{}
	for _, by := range all {
		if by.name != readerProgram && by.name != readerPulls { // they read with the code of others in this list
			result.Readers = append(result.Readers, &corpusCount{Reader: by.name})
		}
	}
	number := 0
	for _, path := range manifests {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var m struct{ Cases []corpusReport }
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, err
		}
		for _, c := range m.Cases {
			c.source = filepath.Dir(path)
			number++
			if err := result.read(ctx, filepath.Join(dir, fmt.Sprintf("case-%d", number)), self, c, all); err != nil {
				return nil, err
			}
		}
	}
	return result, nil
}

// read lets each reader read a case, under a name as reporters give them: some readers go by it.
func (r *corpusFound) read(ctx context.Context, dir, self string, c corpusReport, all []reader) error {
	data, err := os.ReadFile(filepath.Join(c.source, c.File))
	if err != nil {
		return err
	}
	extension := filepath.Ext(c.File)
	if strings.HasSuffix(c.File, ".xml.gz") {
		extension = ".xml.gz"
	}
	path := filepath.Join(dir, largeName+extension)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	isReport := c.Parse == "ok"
	if isReport {
		r.Cases++
	} else {
		r.Refused++
	}
	want := found{1, 1} // of what has no rows
	if isReport && c.Type == "aggregate" {
		var expect struct{ Records, Messages int }
		if err := json.Unmarshal(c.Expect, &expect); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		want = found{expect.Records, int64(expect.Messages)}
	}
	var ours found
	var weFailed error
	for _, count := range r.Readers {
		by := all[slices.IndexFunc(all, func(x reader) bool { return x.name == count.Reader })]
		var got found
		out, _, err := measured(ctx, self, by.command(path))
		if err == nil {
			got, err = by.counts(out)
		}
		if by.name == readerOurs {
			ours, weFailed = got, err
		}
		switch {
		case !isReport && err != nil:
			count.Refused++
		case !isReport:
		case err != nil:
			count.NotRead++
		case got == want:
			count.Right++
		default:
			count.Wrong++
		}
		name := filepath.Base(c.source) + "/" + c.File
		detail := ""
		switch {
		case by.name == readerOurs || err != nil && weFailed != nil:
		case err != nil:
			count.OnlyOurs++
			detail = fmt.Sprintf("%s (%s) only ours reads", name, c.Type)
		case weFailed != nil:
			count.OnlyTheirs++
			detail = fmt.Sprintf("%s (%s) only theirs reads", name, c.Type)
		case got == ours:
			count.Both++
		default:
			count.Differ++
			detail = fmt.Sprintf("%s ours finds %d rows and %d messages in, theirs %d and %d", name, ours.rows, ours.messages, got.rows, got.messages)
		}
		if by.name == readerCat && detail != "" {
			r.Details = append(r.Details, detail)
		}
	}
	return ctx.Err()
}

func (r *corpusFound) grids() []*grid {
	g := &grid{
		title: fmt.Sprintf("REPORTS of other projects: %d that are reports (aggregate, failure, TLS), %d that are none; rows and messages compared", r.Cases, r.Refused),
		head:  []string{"reader", "as the project says", "other counts", "not read", "none, refused", "as ours", "unlike ours", "only ours reads", "only theirs"},
	}
	for _, c := range r.Readers {
		if c.Reader == readerOurs {
			g.row(c.Reader, fmt.Sprint(c.Right), fmt.Sprint(c.Wrong), fmt.Sprint(c.NotRead), fmt.Sprint(c.Refused), "–", "–", "–", "–")
			continue
		}
		g.row(c.Reader, fmt.Sprint(c.Right), fmt.Sprint(c.Wrong), fmt.Sprint(c.NotRead), fmt.Sprint(c.Refused), fmt.Sprint(c.Both), fmt.Sprint(c.Differ), fmt.Sprint(c.OnlyOurs), fmt.Sprint(c.OnlyTheirs))
	}
	if len(r.Details) > 0 {
		g.notes = append(g.notes, "where "+readerCat+" and ours differ: "+strings.Join(r.Details, "; "))
	}
	return []*grid{g}
}
