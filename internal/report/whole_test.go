package report

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/inventory"
)

// facts reads a report and puts its rows into shapes.
func facts(t testing.TB, xml []byte) *Facts {
	t.Helper()
	documents, problems := Open("report.xml", xml)
	if len(documents) != 1 || len(problems) > 0 {
		t.Fatalf("%d documents, %v", len(documents), problems)
	}
	f, err := factsOf(documents[0])
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func factsOf(document Document) (*Facts, error) {
	f := &Facts{Type: Aggregate}
	known := map[string]int{}
	parsed, err := Parse(document, func(r *dmarc.Row) error {
		shape := *r
		shape.SourceIP, shape.Count, shape.Reasons, shape.DKIMResults, shape.SPFResults = "", 0, slices.Clone(r.Reasons), slices.Clone(r.DKIMResults), slices.Clone(r.SPFResults)
		text := fmt.Sprintf("%+v", shape)
		i, ok := known[text]
		if !ok {
			i = len(f.Shapes)
			known[text] = i
			f.Shapes = append(f.Shapes, Shape{Row: shape})
		}
		source, _ := netip.ParseAddr(r.SourceIP)
		f.Rows = append(f.Rows, Row{i, source, r.Count})
		f.Messages += r.Count
		return nil
	})
	if err != nil || parsed.Type != Aggregate {
		return nil, err
	}
	r := parsed.Aggregate
	f.Domain, f.Ours, f.Org, f.Begin, f.End, f.Policy = r.Policy.Domain, r.Policy.Domain, r.OrgName, r.Begin, r.End, r.Policy
	return f, nil
}

// TestCellsOfCorpora: the reports of other projects lose no message, and each is counted or it is said why not.
func TestCellsOfCorpora(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/testdata/dmarc/*/*")
	if len(files) == 0 {
		noCorpora(t)
	}
	d := NewDirectory(organisation(t))
	now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	counted := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		documents, _ := Open(file, data)
		for _, document := range documents {
			f, err := factsOf(document)
			if err != nil || f == nil {
				continue
			}
			cells, problem := Cells(f, d, now)
			switch {
			case problem == "" && sumOf(cells) != f.Messages:
				t.Errorf("%s: %d messages in cells, %d in rows", file, sumOf(cells), f.Messages)
			case problem == "":
				counted++
			case cells != nil:
				t.Errorf("%s: cells, and %s", file, problem)
			default:
				t.Logf("%s: %s", file, problem)
			}
		}
	}
	t.Logf("corpus: cells of DMARC reports: %d", counted)
	if counted < 14 {
		t.Errorf("only %d were counted", counted)
	}
}

// TestReportsNameTheServer: a month of reports of four receivers as they write them; from the 3rd on a list relay breaks the bodies that mx3 signed. What comes out is the one sentence.
func TestReportsNameTheServer(t *testing.T) {
	roll := organisation(t)
	roll.Signers = append(roll.Signers, inventory.Signer{ID: "list", Kind: inventory.KindServer, Name: "the list relay", SendsFrom: inventory.SendsFrom{Addresses: []string{"192.0.2.99"}}})
	roll.Keys = append(roll.Keys, KnownKey{ID: "k3", Domain: "example.com", Selector: "mx3-2605abcd", SignerID: "mx3", From: day(1)})
	for i := range roll.Signers {
		roll.Signers[i].Name = strings.TrimSuffix(roll.Signers[i].Name, ".example.com")
	}
	d := NewDirectory(roll)
	scene := Scene{Domain: "example.com", From: day(1), To: day(28), Policy: "none", Selectors: []SceneSelector{{Selector: "mx3-2605abcd", KeyID: "k3", Signer: d.signers["mx3"], State: "active", Since: day(1)}}}
	for _, id := range []string{"mx1", "mx2", "mx3", "list"} {
		scene.Signers = append(scene.Signers, SceneSigner{d.signers[id], true})
	}
	row := func(ip, selector, result, human string, n int64) dmarc.Row {
		aligned := dmarc.Fail
		if result == "pass" {
			aligned = dmarc.Pass
		}
		return dmarc.Row{SourceIP: ip, Count: n, Disposition: "none", DKIM: aligned, SPF: dmarc.Pass, HeaderFrom: "example.com", EnvelopeFrom: "example.com",
			DKIMResults: []dmarc.DKIMResult{{Domain: "example.com", Selector: selector, Result: result, Human: human}}, SPFResults: []dmarc.SPFResult{{Domain: "example.com", Scope: "mfrom", Result: "pass"}}}
	}
	var groups []Group
	var told, counted int64
	for n := 1; n <= 28; n++ {
		for i, org := range []string{"google.com", "Yahoo", "Outlook.com", "mail.ru"} {
			r := dmarc.Report{OrgName: org, Email: "r@receiver.example", ID: fmt.Sprint(org, n), Begin: day(n), End: day(n + 1).Add(-time.Second), Policy: dmarc.PublishedPolicy{Domain: "example.com", Policy: "none"},
				Rows: []dmarc.Row{row("192.0.2.1", "mx1-2605abcd", "pass", "", 40), row("192.0.2.2", "mx2-2605abcd", "pass", "", 30), row("192.0.2.3", "mx3-2605abcd", "pass", "", 25)}}
			if n >= 3 {
				r.Rows = append(r.Rows, row("192.0.2.99", "mx3-2605abcd", "fail", []string{"body hash did not verify", "body_hash_mismatch", "", "Body hash mismatch"}[i], 6))
			} else {
				r.Rows = append(r.Rows, row("192.0.2.99", "mx3-2605abcd", "pass", "", 6))
			}
			var xml bytes.Buffer
			if err := r.WriteXML(&xml); err != nil {
				t.Fatal(err)
			}
			f := facts(t, xml.Bytes())
			cells, problem := Cells(f, d, day(29))
			if problem != "" {
				t.Fatal(problem)
			}
			told += r.Messages()
			counted += sumOf(cells)
			for _, c := range cells {
				groups = append(groups, c.Group(f.Org, true))
			}
		}
	}
	if told != counted || told != 28*4*101 {
		t.Errorf("%d messages told, %d counted", told, counted)
	}
	found := Diagnose(groups, scene)
	const want = "mx3's signatures fail at 4 reporters since 3 May (624 of 3,224 messages), body hash, only via the list relay: something rewrites the body after signing"
	if len(found) != 1 || found[0].ID != "DKIM-L06" || found[0].Message != want || found[0].Cause != BodyChanged || found[0].Source.ID != "list" || !found[0].Since.Equal(day(3)) {
		t.Errorf("%+v", found)
	}
}

// BenchmarkDiagnose: a month of 50 reporters with 20 groups a day each.
func BenchmarkDiagnose(b *testing.B) {
	scene := stage()
	var groups []Group
	for i := range 50 {
		org := fmt.Sprint("reporter", i)
		groups = append(groups, scenario(b, scene, strings.ReplaceAll(normal, "google,yahoo", org))...)
		groups = append(groups, scenario(b, scene, "mx1>mx1 mx1-a fail:body - "+org+" 40 3..30\nmx1>? mx1-a pass D "+org+" 5 1..30\n?>? - - - "+org+" 50 1..30\n?>? l@list.example pass - "+org+" 50 1..30\ngrid>? s1 pass D "+org+" 50 1..30")...)
		for j := range 13 {
			groups = append(groups, scenario(b, scene, fmt.Sprintf("?>? l%d@list%d.example pass - %s 1 1..30", j, j, org))...)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(Diagnose(groups, scene)) == 0 {
			b.Fatal("nothing was found")
		}
	}
	b.ReportMetric(float64(len(groups)), "groups")
}

// BenchmarkNewDirectory: an organisation with 100,000 domains, a key each on four servers of a thousand.
func BenchmarkNewDirectory(b *testing.B) {
	roll := organisation(b)
	for i := range 1000 {
		id := fmt.Sprint("server", i)
		roll.Signers = append(roll.Signers, inventory.Signer{ID: id, Kind: inventory.KindServer, Name: id, SendsFrom: inventory.SendsFrom{Addresses: []string{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}).String()}}})
	}
	for i := range 100_000 {
		domain := fmt.Sprintf("d%d.example", i)
		roll.Domains = append(roll.Domains, inventory.Domain{Name: domain})
		for j := range 4 {
			roll.Keys = append(roll.Keys, KnownKey{ID: fmt.Sprint("k", i, "-", j), Domain: domain, Selector: fmt.Sprint("s", j), SignerID: fmt.Sprint("server", (i+j)%1000), From: day(1)})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if NewDirectory(roll).Domain("x.d99999.example") == "" {
			b.Fatal("not found")
		}
	}
}
