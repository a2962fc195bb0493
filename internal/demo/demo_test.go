package demo

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOnce goes through the whole demo, as a newcomer does.
func TestOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var said bytes.Buffer
	o, err := Run(ctx, Options{Once: true, Say: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if !o.OK {
		t.Errorf("not OK: %v\n%s", o.Problems, said.String())
	}
	if len(o.Servers) != 2 || len(o.Services) != 1 {
		t.Fatalf("outcome of %d servers and %d services", len(o.Servers), len(o.Services))
	}
	var all []string
	for _, s := range o.Servers {
		all = append(append(all, s.SelectorsBefore...), s.SelectorsAfter...)
		if s.Sent < 50 || s.VerifiedAtArrival != s.Sent || s.VerifiedAtEnd != s.Sent || s.Unsigned != 0 {
			t.Errorf("%+v", s)
		}
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 4 {
		t.Errorf("selectors are shared or did not change: %v", all)
	}
	reported := 0
	for _, r := range o.Report {
		reported += r.Pass
		broke := r.Signer == "mx2" && slices.Contains(o.Servers[1].SelectorsAfter, r.Selector)
		if r.Signer == "" || broke != (r.Fail == broken) || !broke && r.Fail != 0 {
			t.Errorf("report row %+v", r)
		}
	}
	if want := o.Servers[0].Sent + o.Servers[1].Sent + o.Services[0].Sent; reported != want {
		t.Errorf("the reports count %d passing messages of %d", reported, want)
	}
	for _, f := range o.Findings {
		if f.Subject == "mx1" && f.Severity != "info" {
			t.Errorf("nothing is wrong with mx1: %+v", f)
		}
	}
}

// TestUnsignedIsSeen: what the demo prints is only worth something if it notices a server that does not sign.
func TestUnsignedIsSeen(t *testing.T) {
	r, err := startReceiver(&net.Resolver{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	m := &mailServer{name: "mx1"}
	if m.mta, err = startMTA("mx1", "", "tcp", nobody, r.addr()); err != nil {
		t.Fatal(err)
	}
	defer m.mta.stop()
	if err := submit(m, 1); err != nil {
		t.Fatalf("mail was not accepted because the milter is away: %v", err)
	}
	kept := r.messages()
	if len(kept) != 1 || kept[0].signed || kept[0].passed || kept[0].via != "mx1" || !strings.Contains(string(kept[0].raw), "Subject: order 1") {
		t.Errorf("kept %d messages: %+v", len(kept), kept)
	}
}
