package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/report"
)

// BenchmarkSMTP is a small signed report on one connection, verified, to a storage that forgets it.
func BenchmarkSMTP(b *testing.B) {
	r := newRig(b)
	r.needs.Log, r.needs.Sink = nil, forgetful{}
	in, _ := r.start(smtpConfig())
	mail := r.signed(letter("reports@example.org", "x.xml.gz", packed(b, aReport(b, "1", 5))))
	c := dialSMTP(b, in.Addr())
	n := 0
	b.SetBytes(int64(len(mail)))
	b.ReportAllocs()
	for b.Loop() {
		if n++; n%(maxMails/2) == 0 {
			_ = c.Quit()
			c = dialSMTP(b, in.Addr())
		}
		if err := send(c, "a@reporter.example", mail, "reports@example.org"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMaildir is a Maildir full of the same.
func BenchmarkMaildir(b *testing.B) {
	r := newRig(b)
	r.needs.Log, r.needs.Sink = nil, forgetful{}
	dir := maildirIn(b)
	mail := r.signed(letter("reports@example.org", "x.xml.gz", packed(b, aReport(b, "1", 5))))
	f := r.looker(Folder{Kind: Maildir, Path: dir})
	const mails = 500
	var taken time.Duration
	for b.Loop() {
		for i := range mails {
			put(b, filepath.Join(dir, "new", time.Unix(int64(i), 0).Format("150405")), mail)
		}
		start := time.Now()
		if err := f.look(b.Context()); err != nil {
			b.Fatal(err)
		}
		taken += time.Since(start)
	}
	b.ReportMetric(float64(b.N*mails)/taken.Seconds(), "mails/s")
}

type forgetful struct{}

func (forgetful) Take(context.Context, report.Arrival) (report.Receipt, error) {
	return report.Receipt{Input: "1"}, nil
}

func packed(b testing.TB, text []byte) []byte {
	b.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
