package hosted_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/providertest"
	"github.com/postseal/postseal/internal/webapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a vendor in memory. Each write runs the next of the script, and a plain one when the script is over.
type scripted struct {
	mu     sync.Mutex
	at     []hosted.Record
	ids    map[string]string // zones
	script []func(v *scripted, w hosted.Write) error
	writes []hosted.Write
	finds  int
	blind  error // what reading fails with
}

func (v *scripted) FindZone(_ context.Context, name string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finds++
	if id := v.ids[name]; id != "" {
		return id, nil
	}
	return "", fault.New(fault.NotFound, "no such zone")
}

func (v *scripted) At(_ context.Context, zone hosted.Zone, _ string) ([]hosted.Record, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ids[zone.Name] != zone.ID {
		return nil, fault.New(fault.NotFound, "no zone of that id")
	}
	return slices.Clone(v.at), v.blind
}

func (v *scripted) Write(_ context.Context, _ hosted.Zone, w hosted.Write) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes = append(v.writes, w)
	if len(v.script) > 0 {
		do := v.script[0]
		v.script = v.script[1:]
		return do(v, w)
	}
	plain(v, w)
	return nil
}

func plain(v *scripted, w hosted.Write) {
	v.at = slices.DeleteFunc(v.at, func(r hosted.Record) bool { return r.Type == w.Type })
	v.at = append(v.at, w.Want...)
}

func txt(values ...string) []hosted.Record {
	var out []hosted.Record
	for i, v := range values {
		out = append(out, hosted.Record{Type: "TXT", Value: v, TTL: time.Hour, ID: fmt.Sprint(i)})
	}
	return out
}

func set(expect, want []string) publisher.Change {
	c := publisher.Change{Name: "s", Type: "TXT"}
	for _, v := range expect {
		c.Expect = append(c.Expect, publisher.NewRecord("s", "TXT", v, 0))
	}
	for _, v := range want {
		c.Want = append(c.Want, publisher.NewRecord("s", "TXT", v, time.Hour))
	}
	return c
}

func open(t *testing.T, v *scripted, caps publisher.Capabilities) (*hosted.Provider, *providertest.Clock) {
	t.Helper()
	if v.ids == nil {
		v.ids = map[string]string{"example.org": "1"}
	}
	clock := providertest.NewClock()
	p, err := hosted.NewProvider("Vendor", v, caps, hosted.Options{Timing: webapi.Timing{Now: clock.Now, Sleep: clock.Sleep}})
	if err != nil {
		t.Fatal(err)
	}
	return p, clock
}

// replies is a network in which every request gets one status.
type replies int

func (r replies) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(r), Header: http.Header{}, Body: io.NopCloser(strings.NewReader("no")), Request: req}, nil
}

// refusal is an error that came as a reply with a status.
func refusal(t *testing.T, status int) error {
	t.Helper()
	c, err := webapi.NewClient(webapi.API{Vendor: "Vendor", Endpoint: "https://api.example"}, webapi.Options{Transport: replies(status)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(t.Context(), webapi.Request{Method: "POST", Path: "/"}, nil)
	if webapi.Status(err) != status {
		t.Fatalf("%v has status %d", err, webapi.Status(err))
	}
	return err
}

func values(records []hosted.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.Value)
	}
	return strings.Join(out, ",")
}

func TestSwap(t *testing.T) {
	broken, denied, lost := refusal(t, 500), refusal(t, 403), fault.New(fault.Unavailable, "the reply is lost")
	fails := func(err error) func(*scripted, hosted.Write) error {
		return func(*scripted, hosted.Write) error { return err }
	}
	does := func(err error, now ...string) func(*scripted, hosted.Write) error {
		return func(v *scripted, _ hosted.Write) error {
			v.at = txt(now...)
			return err
		}
	}
	type script = []func(*scripted, hosted.Write) error
	tests := []struct {
		name         string
		stands       []string
		expect, want []string
		script       script
		code         fault.Code // "" = done
		words        string
		writes       int
		after        string
	}{
		{name: "plain", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, writes: 1, after: "B"},
		{name: "stands already", stands: []string{"B"}, expect: []string{"A"}, want: []string{"B"}, after: "B"},
		{name: "foreign", stands: []string{"X"}, expect: []string{"A"}, want: []string{"B"}, code: fault.Conflict, words: `"X"`, after: "X"},
		{name: "half of what is expected", stands: []string{"A"}, expect: []string{"A", "C"}, want: []string{"B"}, code: fault.Conflict, after: "A"},
		{name: "ours twice", stands: []string{"B", "B"}, expect: []string{"A"}, want: []string{"B"}, code: fault.Conflict, after: "B,B"},
		{name: "500, then well", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{fails(broken), fails(broken)}, writes: 3, after: "B"},
		{name: "500 three times", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{fails(broken), fails(broken), fails(broken)}, code: fault.Unavailable, words: "500", writes: 3, after: "A"},
		{name: "500, but carried out", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{does(broken, "B")}, writes: 1, after: "B"},
		{name: "403", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{fails(denied)}, code: fault.Denied, words: "refuses the credential", writes: 1, after: "A"},
		{name: "no reply, and it is not known when it comes", want: []string{"B"}, script: script{fails(lost)}, code: fault.Unavailable, words: "lost", writes: 1, after: ""},
		{name: "no reply, but carried out", want: []string{"B"}, script: script{does(lost, "B")}, writes: 1, after: "B"},
		{name: "accepted and lost", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{fails(nil)}, code: fault.Unavailable, words: `still shows TXT "A"`, writes: 1, after: "A"},
		{name: "half: the old is gone", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{does(nil)}, writes: 2, after: "B"},
		{name: "half: both stand", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{does(broken, "A", "B")}, writes: 2, after: "B"},
		{name: "half of two", stands: []string{"A", "C"}, expect: []string{"A", "C"}, want: nil, script: script{does(nil, "C")}, writes: 2, after: ""},
		{name: "somebody wrote at the same time", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{does(nil, "X")}, code: fault.Conflict, words: `"X"`, writes: 1, after: "X"},
		{name: "somebody added at the same time", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{does(broken, "B", "X")}, code: fault.Conflict, words: `"X"`, writes: 1, after: "B,X"},
		{name: "somebody removed ours, and it was turned down", stands: []string{"A"}, expect: []string{"A"}, want: []string{"B"}, script: script{does(refusal(t, 404))}, code: fault.Conflict, words: "nothing", writes: 1, after: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &scripted{at: txt(tt.stands...), script: tt.script}
			p, _ := open(t, v, publisher.Capabilities{})
			outcome, err := p.Set(t.Context(), "example.org", set(tt.expect, tt.want))
			switch {
			case tt.code == "" && (err != nil || outcome != publisher.Done):
				t.Errorf("%q, %v; want done", outcome, err)
			case tt.code != "" && (err == nil || outcome != "" || fault.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.words)):
				t.Errorf("%q, %v; want %s with %q", outcome, err, tt.code, tt.words)
			}
			if len(v.writes) != tt.writes || values(v.at) != tt.after {
				t.Errorf("%d writes, %q stands; want %d and %q", len(v.writes), values(v.at), tt.writes, tt.after)
			}
			for _, w := range v.writes {
				for _, r := range w.Have {
					if !slices.Contains(tt.expect, r.Value) && !slices.Contains(tt.want, r.Value) {
						t.Errorf("a write was to change %q", r.Value)
					}
				}
			}
		})
	}
}

// What was begun and not ended is completed at the next try if nothing else came in between, and by this process only.
func TestSwapGoesOn(t *testing.T) {
	half := func(v *scripted, _ hosted.Write) error {
		v.at, v.blind = nil, errors.New("away")
		return errors.New("away")
	}
	c := set([]string{"A"}, []string{"B"})
	for name, tt := range map[string]struct {
		between []hosted.Record
		other   bool // process
		change  publisher.Change
		code    fault.Code
	}{
		"nothing came in between":  {change: c},
		"somebody wrote":           {change: c, between: txt("X"), code: fault.Conflict},
		"the wish is another now":  {change: set([]string{"A"}, []string{"C"}), code: fault.Conflict},
		"the process is a new one": {change: c, other: true, code: fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			v := &scripted{at: txt("A"), script: []func(*scripted, hosted.Write) error{half}}
			p, _ := open(t, v, publisher.Capabilities{})
			outcome, err := p.Set(t.Context(), "example.org", c)
			if err == nil || outcome != "" || fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "cannot be read") {
				t.Fatalf("%q, %v", outcome, err)
			}
			v.blind, v.at = nil, tt.between
			if tt.other {
				p, _ = open(t, v, publisher.Capabilities{})
			}
			outcome, err = p.Set(t.Context(), "example.org", tt.change)
			if tt.code == "" && (err != nil || outcome != publisher.Done || values(v.at) != "B") {
				t.Errorf("%q, %v, stands %q", outcome, err, values(v.at))
			}
			if tt.code != "" && (err == nil || fault.CodeOf(err) != tt.code || values(v.at) != values(tt.between)) {
				t.Errorf("%q, %v, stands %q; want %s", outcome, err, values(v.at), tt.code)
			}
		})
	}
}

// A CNAME excludes all else, but for what DNSSEC puts beside every name.
func TestSwapExclusion(t *testing.T) {
	alias := publisher.Change{Name: "s", Type: "CNAME", Want: []libdns.Record{publisher.NewRecord("s", "CNAME", "t.example.net", time.Hour)}}
	for _, tt := range []struct {
		beside string
		change publisher.Change
		free   bool
	}{
		{"A", alias, false}, {"MX", alias, false}, {"TXT", alias, false}, {"RRSIG", alias, true}, {"NSEC", alias, true},
		{"A", set(nil, []string{"B"}), true}, {"CNAME", set(nil, []string{"B"}), false},
	} {
		v := &scripted{at: []hosted.Record{{Type: tt.beside, Value: "theirs.example"}}}
		p, _ := open(t, v, publisher.Capabilities{})
		outcome, err := p.Set(t.Context(), "example.org", tt.change)
		if tt.free && (err != nil || outcome != publisher.Done) || !tt.free && (err == nil || fault.CodeOf(err) != fault.Conflict || len(v.writes) > 0) {
			t.Errorf("%s beside %s: %q, %v", tt.change.Type, tt.beside, outcome, err)
		}
	}
}

// The handle of a zone is remembered, and looked up again when it leads nowhere or is old.
func TestZoneMemory(t *testing.T) {
	v := &scripted{}
	p, clock := open(t, v, publisher.Capabilities{})
	get := func(zone string) error { _, err := p.Get(t.Context(), zone, "s"); return err }
	for range 3 {
		if err := get("Example.ORG."); err != nil {
			t.Fatal(err)
		}
	}
	if v.finds != 1 {
		t.Errorf("%d look-ups for one zone", v.finds)
	}
	v.ids["example.org"] = "2" // removed and made anew
	if err := get("example.org"); err != nil || v.finds != 2 {
		t.Errorf("%v after %d look-ups", err, v.finds)
	}
	clock.Pass(2 * time.Hour)
	if err := get("example.org"); err != nil || v.finds != 3 {
		t.Errorf("%v after %d look-ups", err, v.finds)
	}
	delete(v.ids, "example.org")
	err := get("example.org")
	if err == nil || fault.CodeOf(err) != fault.NotFound || !strings.Contains(err.Error(), "does not have the zone example.org") {
		t.Errorf("%v, want not_found", err)
	}
}

// Writers of one zone come one after the other, those of others do not wait; one that waits gives up with its context.
func TestOneWriter(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	v := &scripted{ids: map[string]string{"example.org": "1", "example.net": "1"}}
	slow := &slowVendor{scripted: v, entered: entered, release: release}
	p, err := hosted.NewProvider("Vendor", slow, publisher.Capabilities{}, hosted.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.Set(t.Context(), "example.org", set(nil, []string{"A"})) })
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Set(ctx, "example.org", set(nil, []string{"B"})); err == nil || fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "under way") {
		t.Errorf("%v, want unavailable", err)
	}
	if _, err := p.Set(t.Context(), "example.net", set(nil, []string{"A"})); err != nil {
		t.Errorf("another zone: %v", err)
	}
	close(release)
	wg.Wait()
	if outcome, err := p.Set(t.Context(), "example.org", set([]string{"A"}, []string{"C"})); err != nil || outcome != publisher.Done {
		t.Errorf("after it: %q, %v", outcome, err)
	}
}

// slowVendor holds writes to example.org until release is closed.
type slowVendor struct {
	*scripted
	entered, release chan struct{}
	once             sync.Once
}

func (v *slowVendor) Write(ctx context.Context, z hosted.Zone, w hosted.Write) error {
	if z.Name == "example.org" {
		v.once.Do(func() { close(v.entered) })
		<-v.release
	}
	return v.scripted.Write(ctx, z, w)
}
