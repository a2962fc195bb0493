package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// switchedDNS answers from one zone after another.
type switchedDNS struct {
	*fakeDNS
	mu   sync.Mutex
	zone map[string]json.RawMessage
}

func (d *switchedDNS) LookupTXTSecure(ctx context.Context, name string) ([]string, bool, error) {
	txt, err := d.LookupTXT(ctx, name)
	return txt, false, err
}

func (d *switchedDNS) LookupTXT(_ context.Context, name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw, ok := d.zone[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var records []string
	if json.Unmarshal(raw, &records) == nil {
		return records, nil
	}
	return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
}

// Every message of the corpora gets the same verdicts through the milter as from the library.
func TestCorporaThroughTheMilter(t *testing.T) {
	manifests, err := filepath.Glob("../../../shared/testdata/dkim/*/manifest.json")
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	r := newRig(t, func(c *Config) { c.Listeners[1].Verify = true })
	zone := &switchedDNS{fakeDNS: r.dns}
	r.mail = zone
	var clock atomic.Int64 // 0 = now
	r.now = func() time.Time {
		if at := clock.Load(); at != 0 {
			return time.Unix(at, 0)
		}
		return time.Now()
	}
	r.start()
	m := r.stranger(mtaOptions{})
	messages, signatures := 0, 0
	for _, path := range manifests {
		dir := filepath.Dir(path)
		var list struct {
			Cases []struct {
				Name        string
				File        string
				VerifyTime  int64                      `json:"verify_time"`
				DNSOverride map[string]json.RawMessage `json:"dns_override"`
			}
		}
		var dns map[string]json.RawMessage
		readJSON(t, path, &list)
		readJSON(t, filepath.Join(dir, "dns.json"), &dns)
		for _, c := range list.Cases {
			raw, err := os.ReadFile(filepath.Join(dir, c.File))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(raw, []byte("\r\n\r\n")) { // no MTA hands it over so
				continue
			}
			clock.Store(c.VerifyTime)
			records := map[string]json.RawMessage{}
			for _, from := range []map[string]json.RawMessage{dns, c.DNSOverride} {
				for name, value := range from {
					records[name] = value
				}
			}
			zone.mu.Lock()
			zone.zone = records
			zone.mu.Unlock()
			want, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(raw), dkim.VerifyOptions{Resolver: zone, Now: r.now})
			if err != nil {
				t.Fatal(err)
			}
			msg := parseMail(string(raw))
			o := m.send(msg, 1+messages%97)
			messages++
			f := verdictOf(t, o.raw)
			if f == nil {
				t.Errorf("%s %s: no verdict", dir, c.Name)
				continue
			}
			var got []string
			for _, res := range f.Results {
				if res.Method == "dkim" && res.Value != "none" {
					got = append(got, res.Value+" "+res.Reason+" "+res.Get("header", "d")+" "+res.Get("header", "s"))
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s %s: %d verdicts, want %d", dir, c.Name, len(got), len(want))
				continue
			}
			for i, w := range want {
				signatures++
				if text := string(w.Result) + " " + string(w.Reason) + " " + w.Domain + " " + w.Selector; got[i] != text {
					t.Errorf("%s %s: %q, want %q", dir, c.Name, got[i], text)
				}
			}
		}
	}
	t.Logf("corpus: DKIM corpora through the milter: %d messages, %d signatures, verdicts as the library's", messages, signatures)
	if messages < 300 {
		t.Errorf("only %d messages ran", messages)
	}
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
