package agent

import (
	"net/netip"
	"testing"
)

func TestWhoseMailIsOurs(t *testing.T) {
	set, err := compile(Config{Outbound: Outbound{Listeners: []string{"ORIGINATING"}, Networks: []string{"192.0.2.0/24", "2001:db8::/32", "198.51.100.7"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		e    envelope
		want bool
	}{
		{"stranger", envelope{client: netip.MustParseAddr("203.0.113.5")}, false},
		{"nothing known", envelope{}, false},
		{"other listener", envelope{daemonName: "smtpd"}, false},
		{"loopback", envelope{client: netip.MustParseAddr("127.0.0.1")}, false},
		{"loopback, IPv6", envelope{client: netip.IPv6Loopback()}, false},
		{"outbound listener", envelope{outboundListener: true}, true},
		{"loopback on an outbound listener", envelope{outboundListener: true, client: netip.MustParseAddr("127.0.0.1")}, true},
		{"authenticated", envelope{login: "ann", client: netip.MustParseAddr("203.0.113.5")}, true},
		{"declared listener", envelope{daemonName: "ORIGINATING"}, true},
		{"network", envelope{client: netip.MustParseAddr("192.0.2.200")}, true},
		{"network, IPv6", envelope{client: netip.MustParseAddr("2001:db8::5")}, true},
		{"single address", envelope{client: netip.MustParseAddr("198.51.100.7")}, true},
		{"its neighbour", envelope{client: netip.MustParseAddr("198.51.100.8")}, false},
	} {
		if got := ours(set, c.e); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A table that was replaced counts as in use until the last message that chose from it is done, and never comes back.
func TestTablesInUse(t *testing.T) {
	ts := newTables()
	ts.swap(tableOf("a"))
	first := ts.acquire()
	ts.swap(tableOf("b"))
	second := ts.acquire()
	if used := ts.inUse(); !used["a"] || !used["b"] {
		t.Errorf("in use: %v", used)
	}
	ts.release(second)
	select {
	case <-ts.drained:
		t.Error("the table in force was said to be drained")
	default:
	}
	ts.release(first)
	select {
	case <-ts.drained:
	default:
		t.Error("nobody heard that the first table is drained")
	}
	if used := ts.inUse(); used["a"] || !used["b"] {
		t.Errorf("in use: %v", used)
	}
	if len(ts.old) != 0 {
		t.Errorf("%d old tables kept", len(ts.old))
	}
}
