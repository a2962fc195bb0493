package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/dmarc"
)

// corpusCase is a report of another project, with what it says.
type corpusCase struct {
	File, Type, Parse string
	Documents         *int
	Expect            json.RawMessage
}

// said is what was read, in the words of the manifests.
type said map[string]any

// TestCorpora: every report of the other projects is read, and says what they say that it says; every one that is none is a problem.
func TestCorpora(t *testing.T) {
	manifests, _ := filepath.Glob("../../../shared/testdata/dmarc/*/manifest.json")
	if len(manifests) == 0 {
		t.Skip("shared/testdata is not there")
	}
	agreed, refused := 0, 0
	for _, path := range manifests {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m struct{ Cases []corpusCase }
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for _, c := range m.Cases {
			file := filepath.Join(filepath.Dir(path), c.File)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			documents, problems := Open(c.File, data)
			if c.Parse != "ok" {
				read := 0
				for _, d := range documents {
					if _, err := Parse(d, func(*dmarc.Row) error { return nil }); err == nil {
						read++
					}
				}
				if read > 0 || len(documents)+len(problems) == 0 {
					t.Errorf("%s: %d documents were read, %d problems", c.File, read, len(problems))
				}
				refused++
				continue
			}
			if len(documents) != 1 || len(problems) > 0 {
				t.Errorf("%s: %d documents, problems %v", file, len(documents), problems)
				continue
			}
			got := read(t, documents[0])
			var want said
			if err := json.Unmarshal(c.Expect, &want); err != nil {
				t.Fatal(err)
			}
			if agrees(t, c.File, got, want) {
				agreed++
			}
		}
	}
	t.Logf("corpus: DMARC, TLS and failure reports: %d agree, %d that are none are refused", agreed, refused)
	if agreed < 32 || refused < 7 {
		t.Errorf("only %d agree, %d are refused", agreed, refused)
	}
}

func read(t *testing.T, d Document) said {
	t.Helper()
	var rows []dmarc.Row
	p, err := Parse(d, func(r *dmarc.Row) error { rows = append(rows, *r); return nil })
	if err != nil {
		t.Errorf("%s: %v", d.Name, err)
		return nil
	}
	switch p.Type {
	case Aggregate:
		r := p.Aggregate
		var messages int64
		var ips []any
		for _, row := range rows {
			messages += row.Count
			if !slices.Contains(ips, any(row.SourceIP)) {
				ips = append(ips, row.SourceIP)
			}
		}
		out := said{"org_name": r.OrgName, "report_id": r.ID, "begin": strconv.FormatInt(r.Begin.Unix(), 10), "end": strconv.FormatInt(r.End.Unix(), 10), "domain": r.Policy.Domain,
			"p": string(r.Policy.Policy), "records": float64(len(rows)), "messages": float64(messages), "source_ips": ips}
		if len(rows) > 0 {
			row := rows[0]
			out["first_record"] = map[string]any{"source_ip": row.SourceIP, "count": strconv.FormatInt(row.Count, 10), "disposition": row.Disposition, "dkim": string(row.DKIM),
				"spf": string(row.SPF), "header_from": row.HeaderFrom}
		}
		return out
	case TLS:
		good, bad := p.TLS.Sessions()
		return said{"organization-name": p.TLS.OrgName, "report-id": p.TLS.ID, "policies": float64(len(p.TLS.Policies)), "successful": float64(good), "failed": float64(bad)}
	}
	f := p.Failure
	return said{"content_type": "multipart/report", "feedback_report_part": true, "Feedback-Type": "auth-failure", "Auth-Failure": f.Failed[0], "Source-IP": f.SourceIP,
		"Reported-Domain": f.Domain, "Delivery-Result": f.Delivery}
}

// agrees compares what the manifest says; case does not matter in words, as the manifests keep that of the report.
func agrees(t *testing.T, file string, got, want said) bool {
	t.Helper()
	same := true
	for key, w := range want {
		g := got[key]
		switch w := w.(type) {
		case map[string]any:
			gm, _ := g.(map[string]any)
			same = agrees(t, file+" "+key, gm, w) && same
		case []any:
			gs, _ := g.([]any)
			if !sameTexts(gs, w) {
				t.Errorf("%s: %s is %v, want %v", file, key, g, w)
				same = false
			}
		default:
			if !sameText(g, w) {
				t.Errorf("%s: %s is %v, want %v", file, key, g, w)
				same = false
			}
		}
	}
	return same
}

func sameText(a, b any) bool {
	x, isText := a.(string)
	y, both := b.(string)
	if isText && both {
		return foldTrim(x) == foldTrim(y)
	}
	return a == b
}

func sameTexts(a, b []any) bool {
	key := func(list []any) (out []string) {
		for _, v := range list {
			s, _ := v.(string)
			out = append(out, foldTrim(s))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(key(a), key(b))
}

func foldTrim(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
