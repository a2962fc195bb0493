package report

import (
	"encoding/json"
	"fmt"
	"maps"
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

// TestCorpora: every report of the other projects is read, and says what they say that it says; every one that is none is a problem. It logs for each source how many agree.
func TestCorpora(t *testing.T) {
	manifests, _ := filepath.Glob("../../../shared/testdata/dmarc/*/manifest.json")
	if len(manifests) == 0 {
		noCorpora(t)
	}
	all, agree := 0, 0
	for _, path := range manifests {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m struct{ Cases []corpusCase }
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		said, refused := 0, 0
		source := filepath.Base(filepath.Dir(path))
		for _, c := range m.Cases {
			differences := c.differences(t, filepath.Dir(path))
			switch {
			case len(differences) > 0:
				t.Logf("corpus: DMARC reports, %s: %s disagrees: %s", source, c.File, strings.Join(differences, "; "))
			case c.Parse == "ok":
				said++
			default:
				refused++
			}
		}
		t.Logf("corpus: DMARC reports, %s: %d of %d agree: %d say what is expected, %d that are no reports are refused", source, said+refused, len(m.Cases), said, refused)
		all, agree = all+len(m.Cases), agree+said+refused
	}
	t.Logf("corpus: DMARC reports, all sources: %d of %d agree", agree, all)
	if agree != all {
		t.Errorf("%d cases disagree", all-agree)
	}
	if all < 39 {
		t.Errorf("only %d cases were found", all)
	}
}

// differences are those between what is read of a case and what its manifest says.
func (c corpusCase) differences(t *testing.T, dir string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, c.File))
	if err != nil {
		t.Fatal(err)
	}
	documents, problems := Open(c.File, data)
	if c.Parse != "ok" {
		if len(documents)+len(problems) == 0 {
			out = append(out, "it vanished")
		}
		for _, d := range documents {
			if _, err := Parse(d, func(*dmarc.Row) error { return nil }); err == nil {
				out = append(out, "it was read, and is no report")
			}
		}
		return out
	}
	if len(documents) != 1 || len(problems) > 0 {
		return []string{fmt.Sprintf("%d documents, problems %v", len(documents), problems)}
	}
	got, err := read(documents[0])
	if err != nil {
		return []string{err.Error()}
	}
	var want said
	if err := json.Unmarshal(c.Expect, &want); err != nil {
		t.Fatal(err)
	}
	return differ("", got, want)
}

func read(d Document) (said, error) {
	var rows []dmarc.Row
	p, err := Parse(d, func(r *dmarc.Row) error { rows = append(rows, *r); return nil })
	if err != nil {
		return nil, err
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
		return out, nil
	case TLS:
		good, bad := p.TLS.Sessions()
		return said{"organization-name": p.TLS.OrgName, "report-id": p.TLS.ID, "policies": float64(len(p.TLS.Policies)), "successful": float64(good), "failed": float64(bad)}, nil
	}
	// The first three are what makes it a failure report: others are refused.
	f := p.Failure
	return said{"content_type": "multipart/report", "feedback_report_part": true, "Feedback-Type": "auth-failure", "Auth-Failure": f.Failed[0], "Source-IP": f.SourceIP,
		"Reported-Domain": f.Domain, "Delivery-Result": f.Delivery}, nil
}

// differ compares with what a manifest says; case does not matter in words, as the manifests keep that of the report.
func differ(prefix string, got, want said) (out []string) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		g, same := got[key], false
		switch w := want[key].(type) {
		case map[string]any:
			gm, _ := g.(map[string]any)
			out = append(out, differ(prefix+key+" ", gm, w)...)
			continue
		case []any:
			gs, _ := g.([]any)
			same = sameTexts(gs, w)
		default:
			same = sameText(g, w)
		}
		if !same {
			out = append(out, fmt.Sprintf("%s%s is %v, want %v", prefix, key, g, want[key]))
		}
	}
	return out
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

// noCorpora ends a test that has nothing to read: where everything must be there, that is a failure.
func noCorpora(t *testing.T) {
	t.Helper()
	if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
		t.Fatal("shared/testdata is not there and POSTSEAL_REQUIRE_INTEGRATION=1")
	}
	t.Skip("shared/testdata is not there")
}
