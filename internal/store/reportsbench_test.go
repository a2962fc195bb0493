package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/report"
)

// onBoth runs a benchmark on an empty database of each kind.
func onBoth(b *testing.B, f func(*testing.B, *Reports)) {
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			database := b.TempDir()
			if name == "postgres" {
				database = startPostgres(b).empty(b)
			}
			r, err := OpenReports(b.Context(), Options{Database: database})
			must(b, err)
			b.Cleanup(func() { r.Close() })
			f(b, r)
		})
	}
}

// writtenReport is a report as a large receiver writes it, compressed.
func writtenReport(b *testing.B, id string, records int) []byte {
	b.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	fmt.Fprintf(z, `<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <report_metadata>
    <org_name>google.com</org_name>
    <email>noreply-dmarc-support@google.com</email>
    <extra_contact_info>https://support.google.com/a/answer/2466580</extra_contact_info>
    <report_id>%s</report_id>
    <date_range><begin>%d</begin><end>%d</end></date_range>
  </report_metadata>
  <policy_published><domain>example.org</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>reject</sp><pct>100</pct></policy_published>
`, id, midnight(1).Unix(), midnight(0).Unix()-1)
	for i := range records {
		result, other := "pass", "fail"
		if i%7 == 0 {
			result, other = other, result
		}
		fmt.Fprintf(z, `  <record>
    <row>
      <source_ip>192.0.%d.%d</source_ip>
      <count>%d</count>
      <policy_evaluated>
        <disposition>none</disposition>
        <dkim>%s</dkim>
        <spf>%s</spf>
      </policy_evaluated>
    </row>
    <identifiers>
      <header_from>example.org</header_from>
    </identifiers>
    <auth_results>
      <dkim>
        <domain>example.org</domain>
        <result>%s</result>
        <selector>mx%d-2611abcd</selector>
      </dkim>
      <spf>
        <domain>bounce%d.example.org</domain>
        <result>softfail</result>
      </spf>
    </auth_results>
  </record>
`, i/250%250, i%250, i%1000+1, result, other, result, i%8, i%40)
	}
	fmt.Fprint(z, "</feedback>\n")
	must(b, z.Close())
	return out.Bytes()
}

// benchFleet is eight servers with a key each.
type benchFleet struct{ directory *report.Directory }

func (f benchFleet) Directory(context.Context) (*report.Directory, error) { return f.directory, nil }

func newBenchFleet() benchFleet {
	roll := report.Roll{Domains: []inventory.Domain{{Name: testDomain}}}
	for i := range 8 {
		id := fmt.Sprintf("srv_%d", i)
		roll.Signers = append(roll.Signers, inventory.Signer{ID: id, Kind: inventory.KindServer, Name: fmt.Sprintf("mx%d", i), Label: fmt.Sprintf("mx%d", i),
			SendsFrom: inventory.SendsFrom{Addresses: []string{fmt.Sprintf("192.0.2.%d", i)}}})
		roll.Keys = append(roll.Keys, report.KnownKey{ID: fmt.Sprintf("key_%d", i), Domain: testDomain, Selector: fmt.Sprintf("mx%d-2611abcd", i), SignerID: id, From: time.Unix(1, 0)})
	}
	return benchFleet{report.NewDirectory(roll)}
}

// BenchmarkReportsImport takes a report of a hundred thousand records from its compressed octets into the database: everything that happens to a report.
func BenchmarkReportsImport(b *testing.B) {
	const records = 100_000
	onBoth(b, func(b *testing.B, r *Reports) {
		taker := report.NewTaker(r, newBenchFleet(), func() time.Time { return reportNow })
		n := 0
		var busy, saving time.Duration
		for b.Loop() {
			b.StopTimer()
			n++
			a := report.Arrival{Way: report.ByHand, Name: "r.xml.gz", Octets: writtenReport(b, strconv.Itoa(n), records), At: reportNow, Trust: report.Given}
			b.StartTimer()
			begin := time.Now()
			receipt := get[report.Receipt](b)(taker.Take(b.Context(), a))
			busy += time.Since(begin)
			if receipt.Reports[0].State != report.Stored || receipt.Reports[0].Rows != records {
				b.Fatalf("%+v", receipt)
			}
			b.StopTimer()
			// The same once more, without reading it.
			documents, _ := report.Open(a.Name, a.Octets)
			f := report.Collect(documents[0])
			f.Ours, f.Key[0] = testDomain, f.Key[0]+1
			hash := sha256.Sum256(a.Octets)
			hash[0]++
			begin = time.Now()
			receipt = get[report.Receipt](b)(r.Save(b.Context(), a, hash, []report.Facts{f}))
			saving += time.Since(begin)
			b.StartTimer()
		}
		b.ReportMetric(float64(n)*records/busy.Seconds(), "rows/s")
		b.ReportMetric(float64(n)*records/saving.Seconds(), "stored-rows/s")
		b.ReportMetric(float64(r.size(b))/float64(2*n*records), "B/row")
	})
}

// BenchmarkReportsSmall takes small reports, as most are.
func BenchmarkReportsSmall(b *testing.B) {
	onBoth(b, func(b *testing.B, r *Reports) {
		taker := report.NewTaker(r, newBenchFleet(), func() time.Time { return reportNow })
		n := 0
		for b.Loop() {
			b.StopTimer()
			n++
			a := report.Arrival{Way: report.ByHand, Name: "r.xml.gz", Octets: writtenReport(b, strconv.Itoa(n), 5), At: reportNow, Trust: report.Given}
			b.StartTimer()
			get[report.Receipt](b)(taker.Take(b.Context(), a))
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "reports/s")
	})
}

// size is how many octets the database has on the disk.
func (r *Reports) size(b *testing.B) (n int64) {
	b.Helper()
	if !r.d.sqlite() {
		must(b, r.reader.QueryRowContext(b.Context(), `SELECT CAST(SUM(pg_total_relation_size(oid)) AS BIGINT) FROM pg_class WHERE relkind = 'r' AND (relname LIKE 'report%')`).Scan(&n))
		return n
	}
	_, err := r.writer.ExecContext(b.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	must(b, err)
	must(b, r.reader.QueryRowContext(b.Context(), `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&n))
	return n
}

// tables says what a database consists of.
func (r *Reports) tables(b *testing.B, rows int) string {
	b.Helper()
	query := `SELECT name, SUM(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC`
	if !r.d.sqlite() {
		query = `SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relname LIKE 'report%' OR relname LIKE 'pg_toast%' ORDER BY 2 DESC LIMIT 20`
	}
	found, err := r.reader.QueryContext(b.Context(), query)
	must(b, err)
	defer found.Close()
	var out strings.Builder
	for found.Next() {
		var name string
		var n int64
		must(b, found.Scan(&name, &n))
		if n > int64(rows)/20 {
			fmt.Fprintf(&out, "%s %.1f, ", name, float64(n)/float64(rows))
		}
	}
	must(b, found.Err())
	return out.String()
}

// The year: fifty domains with twenty reporters each, every day a report with 27 rows: ten million in all.
const (
	yearDomains   = 50
	yearReporters = 20
	yearDays      = 365
	yearRows      = 27
)

func yearDomain(i int) string { return fmt.Sprintf("d%02d.example", i) }

// fillYear stores the year. Each input holds the reports of one domain's ten days.
func fillYear(b *testing.B, r *Reports, days int) (rows int) {
	b.Helper()
	const together = 10
	for first := 0; first < days; first += together {
		for domain := range yearDomains {
			var facts []report.Facts
			for day := first; day < min(first+together, days); day++ {
				for reporter := range yearReporters {
					f := yearReport(domain, day, reporter)
					rows += len(f.Rows)
					facts = append(facts, f)
				}
			}
			a, hash := arrival(fmt.Sprint(domain, first))
			a.At = reportNow
			get[report.Receipt](b)(r.Save(b.Context(), a, hash, facts))
		}
	}
	return rows
}

// yearReport has mail of three servers of the domain's own and of a service, on two days because reporters' days are not ours, and of others: shapes and cells as in life.
func yearReport(domain, day, reporter int) report.Facts {
	name := yearDomain(domain)
	f := report.Facts{
		Document: "r.xml", Type: report.Aggregate, Domain: name, Ours: name, Org: fmt.Sprintf("reporter%02d.example", reporter), Email: fmt.Sprintf("dmarc@reporter%02d.example", reporter),
		ReportID: fmt.Sprintf("%d.%d.%d", domain, day, reporter), Begin: midnight(yearDays - day), End: midnight(yearDays - day - 1).Add(-time.Second), Schema: dmarc.RFC7489,
		Policy: dmarc.PublishedPolicy{Domain: name, Policy: "reject", Subdomains: "reject", DKIM: "r", SPF: "r", Percent: "100"},
	}
	f.Key = sha256.Sum256([]byte(f.ReportID))
	service := report.Who{Kind: "service", ID: "svc_0123456789abcdef", Name: "sendgrid"}
	const kinds = 8
	var cells [kinds]report.Cell
	for k := range kinds {
		server := report.Who{Kind: "server", ID: fmt.Sprintf("srv_0123456789abc%03d", domain*3+k%3), Name: fmt.Sprintf("mx%d", k%3)}
		c := report.Cell{Day: f.Begin, HeaderFrom: name, SigningDomain: name, Selector: fmt.Sprintf("mx%d-26%02dabcd", k%3, day/90), Result: "pass", Signer: server, How: report.Exact,
			KeyID: fmt.Sprintf("key_0123456789ab%02d%d", day/90, k%3), Source: server, DKIM: true, SPF: true, Disposition: "none"}
		switch k {
		case 3: // forwarded
			c.Source, c.SPF = report.Who{}, false
		case 4: // broken on the way
			c.Source, c.SPF, c.DKIM, c.Result, c.Disposition, c.Reason = report.Who{}, false, false, "fail", "quarantine", "mailing_list"
		case 5, 6:
			c.Signer, c.Source, c.Selector, c.KeyID, c.SPF = service, service, "s1", "", k == 5
		case 7:
			c = report.Cell{Day: f.Begin, HeaderFrom: name, How: report.Unknown, Disposition: "reject"}
		}
		cells[k] = c
		s := report.Shape{Row: dmarc.Row{HeaderFrom: name, EnvelopeFrom: name, Disposition: c.Disposition, DKIM: dmarc.Fail, SPF: dmarc.Fail}}
		if c.DKIM {
			s.DKIM = dmarc.Pass
		}
		if c.SPF {
			s.SPF = dmarc.Pass
		}
		if c.Selector != "" {
			s.DKIMResults = []dmarc.DKIMResult{{Domain: name, Selector: c.Selector, Result: c.Result}}
		}
		f.Shapes = append(f.Shapes, s)
	}
	for i := range yearRows {
		k := i % kinds
		row := report.Row{Shape: k, Source: netip.AddrFrom4([4]byte{10, byte(domain), byte(k), byte(i * (1 + reporter) % 250)}), Count: int64(1 + i*(day%7))}
		if i%5 == 0 {
			row.Source = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(domain), byte(k), 15: byte(i * reporter)})
		}
		cells[k].Messages += row.Count
		f.Messages += row.Count
		f.Rows = append(f.Rows, row)
	}
	f.Cells = cells[:]
	return f
}

// BenchmarkReportsPrune deletes small reports of a day, batch by batch, and says how long the longest batch kept others from writing.
func BenchmarkReportsPrune(b *testing.B) {
	onBoth(b, func(b *testing.B, r *Reports) {
		now := reportNow
		r.clock = func() time.Time { return now }
		n := 0
		var longest [3]time.Duration
		for b.Loop() {
			b.StopTimer()
			for domain := range yearDomains {
				for reporter := range yearReporters {
					n++
					a, hash := arrival(fmt.Sprint(n))
					a.At = now
					get[report.Receipt](b)(r.Save(b.Context(), a, hash, []report.Facts{yearReport(domain, n%yearDays, reporter)}))
				}
			}
			now = now.Add(10 * reportDay)
			b.StartTimer()
			for i, c := range []report.Cutoffs{{Octets: now}, {Rows: now}, {All: now}} {
				for p := (report.Pruned{More: true}); p.More; {
					begin := time.Now()
					p = get[report.Pruned](b)(r.Prune(b.Context(), c))
					longest[i] = max(longest[i], time.Since(begin))
				}
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "reports/s")
		for i, what := range []string{"octets", "rows", "all"} {
			b.ReportMetric(float64(longest[i].Microseconds())/1000, what+"-ms")
		}
	})
}

// BenchmarkReportsYear asks what pages ask. POSTSEAL_BENCH_DAYS=365 fills the database with the whole year, which takes minutes; without it a month is enough to see that the
// questions work. POSTSEAL_BENCH_KEEP names a folder in which the SQLite database is kept for the next time.
func BenchmarkReportsYear(b *testing.B) {
	days, err := strconv.Atoi(os.Getenv("POSTSEAL_BENCH_DAYS"))
	if err != nil {
		days = 30
	}
	onBoth(b, func(b *testing.B, r *Reports) {
		if keep := os.Getenv("POSTSEAL_BENCH_KEEP"); keep != "" && r.d.sqlite() {
			must(b, r.Close())
			kept, err := OpenReports(b.Context(), Options{Database: filepath.Join(keep, strconv.Itoa(days))})
			must(b, err)
			*r = *kept
		}
		rows := days * yearDomains * yearReporters * yearRows
		if got := get[[]report.Listed](b)(r.Reports(b.Context(), report.ReportFilter{Limit: 1})); len(got) == 0 {
			begin := time.Now()
			rows = fillYear(b, r, days)
			b.Logf("%d rows in %s", rows, time.Since(begin))
		}
		if !r.d.sqlite() {
			_, err := r.writer.ExecContext(b.Context(), `ANALYZE`)
			must(b, err)
		}
		b.Logf("%.1f octets a row: %s", float64(r.size(b))/float64(rows), r.tables(b, rows))
		from := midnight(yearDays)
		one := report.Period{Domains: []string{yearDomain(7)}, Since: from}
		all := report.Period{Since: from}
		some := report.Period{Since: from}
		for i := range 10 {
			some.Domains = append(some.Domains, yearDomain(i*3))
		}
		month := report.Period{Domains: one.Domains, Since: midnight(yearDays - days + 30), Until: midnight(yearDays - days)}
		for _, q := range []struct {
			name string
			ask  func(*testing.B) int
		}{
			{"one domain by day", func(b *testing.B) int {
				return len(get[[]report.Count](b)(r.Counts(b.Context(), one, report.Grouping{Day: true})))
			}},
			{"all domains by day", func(b *testing.B) int {
				return len(get[[]report.Count](b)(r.Counts(b.Context(), all, report.Grouping{Day: true})))
			}},
			{"ten domains by day", func(b *testing.B) int {
				return len(get[[]report.Count](b)(r.Counts(b.Context(), some, report.Grouping{Day: true})))
			}},
			{"one domain by day and sender", func(b *testing.B) int {
				return len(get[[]report.Count](b)(r.Counts(b.Context(), one, report.Grouping{Day: true, Sender: true})))
			}},
			{"all domains by sender", func(b *testing.B) int {
				return len(get[[]report.Count](b)(r.Counts(b.Context(), all, report.Grouping{Sender: true})))
			}},
			{"every domain", func(b *testing.B) int {
				return len(get[[]report.Count](b)(r.Counts(b.Context(), all, report.Grouping{Domain: true})))
			}},
			{"groups of one domain", func(b *testing.B) int { return len(get[[]report.Group](b)(r.Groups(b.Context(), one, false))) }},
			{"groups of one domain, a month by day", func(b *testing.B) int { return len(get[[]report.Group](b)(r.Groups(b.Context(), month, true))) }},
			{"sources of one domain, a month", func(b *testing.B) int { return get[report.Sources](b)(r.Sources(b.Context(), month, 100)).Count }},
			{"sources of one domain, a year", func(b *testing.B) int { return get[report.Sources](b)(r.Sources(b.Context(), one, 100)).Count }},
			{"the newest reports of one domain", func(b *testing.B) int {
				return len(get[[]report.Listed](b)(r.Reports(b.Context(), report.ReportFilter{Domains: one.Domains, Limit: 50})))
			}},
			{"last passed", func(b *testing.B) int {
				return len(get[map[string]time.Time](b)(r.LastPassed(b.Context(), yearDomain(7), []string{"mx0-2600abcd"}, []string{"srv_0123456789abc021"}, midnight(yearDays))))
			}},
		} {
			b.Run(q.name, func(b *testing.B) {
				lines := 0
				for b.Loop() {
					if lines = q.ask(b); lines == 0 {
						b.Fatal("nothing is found")
					}
				}
				b.ReportMetric(float64(lines), "lines")
			})
		}
	})
}
