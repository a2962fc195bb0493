package intake

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/resolver"
)

// Nothing of the package may be left running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// need skips the test where a part is missing, or fails it where CI promised that it is there.
func need(t *testing.T, what string, there bool) {
	t.Helper()
	if there {
		return
	}
	if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf("%s is missing and POSTSEAL_REQUIRE_INTEGRATION=1", what)
	}
	t.Skipf("%s is missing; CI runs this test with it", what)
}

func haveProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// patience is for machines that do much else, and for the race detector.
const patience = 90 * time.Second

// await polls until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// shelf is a storage in memory: it knows octets again, as the real one does.
type shelf struct {
	mu       sync.Mutex
	failing  error
	failNext int // so many more times; -1 = until told otherwise
	arrivals []report.Arrival
	seen     map[[32]byte]bool
	calls    int
	entered  func() // called before anything else
}

func newShelf() *shelf { return &shelf{seen: map[[32]byte]bool{}} }

func (s *shelf) Take(ctx context.Context, a report.Arrival) (report.Receipt, error) {
	if s.entered != nil {
		s.entered()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.failNext != 0 {
		s.failNext--
		return report.Receipt{}, s.failing
	}
	if err := ctx.Err(); err != nil {
		return report.Receipt{}, err
	}
	hash := sha256.Sum256(a.Octets)
	receipt := report.Receipt{Input: fmt.Sprintf("%x", hash[:8]), Again: s.seen[hash]}
	documents, _ := report.Open(a.Name, a.Octets)
	for _, d := range documents {
		r := report.ReceivedReport{Document: d.Name, State: report.Stored}
		if _, err := report.Parse(d, func(*dmarc.Row) error { return nil }); err != nil {
			r.State, r.Problem = report.Unread, err.Error()
		}
		receipt.Reports = append(receipt.Reports, r)
	}
	if !receipt.Again {
		s.seen[hash] = true
		a.Octets = slices.Clone(a.Octets)
		s.arrivals = append(s.arrivals, a)
	}
	return receipt, nil
}

func (s *shelf) fail(times int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failNext, s.failing = times, err
}

func (s *shelf) kept() []report.Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.arrivals)
}

func (s *shelf) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

var errDown = fault.New(fault.Unavailable, "the database is away")

// waiting remembers probes.
type waiting struct {
	mu       sync.Mutex
	failing  error
	verdicts map[string]Verdict
}

func (w *waiting) Arrived(_ context.Context, token string, v Verdict) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing != nil {
		return w.failing
	}
	w.verdicts[token] = v
	return nil
}

func (w *waiting) verdict(token string) (Verdict, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.verdicts[token]
	return v, ok
}

// rig is DNS on loopback, somebody who signs, and a storage.
type rig struct {
	t      testing.TB
	net    *fakedns.Net
	zone   *fakedns.Zone // reporter.example
	key    crypto.Signer
	shelf  *shelf
	probes *waiting
	needs  Needs
}

func newRig(t testing.TB) *rig {
	t.Helper()
	n := fakedns.New(t)
	r := &rig{t: t, net: n, zone: n.Zone("reporter.example", 1), shelf: newShelf(), probes: &waiting{verdicts: map[string]Verdict{}}}
	var err error
	if r.key, err = dkim.GenerateKey(dkim.Ed25519, nil); err != nil {
		t.Fatal(err)
	}
	record, err := dkim.FormatKeyRecord(r.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	r.zone.TXT("s1._domainkey.reporter.example", record)
	r.zone.TXT("_dmarc.reporter.example", "v=DMARC1; p=reject")
	r.zone.TXT("reporter.example", "v=spf1 ip4:192.0.2.1 -all")
	stranger := n.Zone("stranger.example", 1)
	stranger.TXT("_dmarc.stranger.example", "v=DMARC1; p=quarantine")
	cache := resolver.NewCache(resolver.NewRecursive(n.Recursive(), fakedns.Patience), resolver.CacheConfig{})
	t.Cleanup(cache.Close)
	known := func(_ context.Context, domain string) (bool, error) { return domain == "example.org", nil }
	book, err := NewAddresses([]string{"Reports@Example.org"}, []string{"probe@example.org"}, known, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r.needs = Needs{Sink: r.shelf, Book: book, Prober: r.probes, DNS: cache, Log: log}
	return r
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// start runs an intake until the test ends, or stop is called.
func (r *rig) start(cfg Config) (in *Intake, stop func()) {
	r.t.Helper()
	in, err := New(cfg, r.needs)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return in, stop
}

// letter is a mail of reporter.example with a file attached, not signed.
func letter(to, name string, file []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Reporter <reports@reporter.example>\r\nTo: %s\r\nSubject: Report %s\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@reporter.example>\r\nX-Case: %s\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Disposition: attachment; filename=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n", to, name, strings.ReplaceAll(name, " ", "-"), name, name, name)
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(file)), 76) {
		b.Write(chunk)
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// signed is a mail with a signature of reporter.example on top.
func (r *rig) signed(mail []byte) []byte {
	r.t.Helper()
	fields, err := dkim.SignMessage(bytes.NewReader(mail), dkim.Signing{Domain: "reporter.example", Selector: "s1", Key: r.key})
	if err != nil {
		r.t.Fatal(err)
	}
	return append(bytes.Join(fields, nil), mail...)
}

// aReport is a small aggregate report.
func aReport(t testing.TB, id string, rows int) []byte {
	t.Helper()
	rep := dmarc.Report{
		OrgName: "Reporter", Email: "reports@reporter.example", ID: id, Begin: time.Unix(1_790_000_000, 0), End: time.Unix(1_790_086_399, 0), Generator: "test",
		Policy: dmarc.PublishedPolicy{Domain: "example.org", Policy: "none"},
	}
	for i := range rows {
		rep.Rows = append(rep.Rows, dmarc.Row{SourceIP: fmt.Sprintf("192.0.2.%d", i%250+1), Count: int64(i + 1), Disposition: "none", DKIM: "pass", SPF: "fail", HeaderFrom: "example.org",
			DKIMResults: []dmarc.DKIMResult{{Domain: "example.org", Selector: "mx1", Result: "pass"}}})
	}
	var b bytes.Buffer
	if err := rep.WriteXML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// corpus are the reports of other projects as mails, by name.
func (r *rig) corpus() map[string][]byte {
	r.t.Helper()
	root := "../../../shared/testdata/dmarc"
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "manifest.json" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		name := strings.ReplaceAll(rel, string(filepath.Separator), "_")
		if strings.HasSuffix(name, ".eml") {
			data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
			out[name] = append([]byte("X-Case: "+name+"\r\n"), withoutFromLine(data)...)
			return nil
		}
		out[name] = r.signed(letter("reports@example.org", name, data))
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) || len(out) == 0 {
		need(r.t.(*testing.T), "shared/testdata", false)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// caseOf is the X-Case of a mail.
func caseOf(mail []byte) (name string) {
	eachField(mail, func(n string, v []byte) {
		if strings.EqualFold(n, "X-Case") && name == "" {
			name = strings.TrimSpace(string(v))
		}
	})
	return name
}

// content is everything that package report reads in an input, as text.
func content(t testing.TB, octets []byte) string {
	t.Helper()
	documents, problems := report.Open("x", octets)
	var b strings.Builder
	for _, d := range documents {
		var rows []dmarc.Row
		parsed, err := report.Parse(d, func(row *dmarc.Row) error { rows = append(rows, *row); return nil })
		text, jsonErr := json.Marshal(struct {
			Parsed report.Parsed
			Rows   []dmarc.Row
		}{parsed, rows})
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		fmt.Fprintf(&b, "%s %v\n", text, err)
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "problem: %v\n", p.Err)
	}
	return b.String()
}

// sinkFunc stores nothing.
type sinkFunc func(ctx context.Context) error

func (f sinkFunc) Take(ctx context.Context, _ report.Arrival) (report.Receipt, error) {
	return report.Receipt{}, f(ctx)
}
