package agent

import (
	"net/netip"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
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
		{"authenticated", envelope{authenticated: true, client: netip.MustParseAddr("203.0.113.5")}, true},
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

func TestChoose(t *testing.T) {
	key := &activeKey{id: "k"}
	table := &Table{assigned: map[tableKey]*assigned{
		{"example.org", "default"}:   {noKey: agentapi.NoKeyTempfail, signing: []*activeKey{key}, bulk: true},
		{"example.org", "marketing"}: {noKey: agentapi.NoKeyPass, signing: []*activeKey{{id: "m"}}},
		{"empty.example", "default"}: {noKey: agentapi.NoKeyTempfail},
	}}
	for _, c := range []struct {
		name    string
		allowed map[string]bool
		author  author
		want    Reason
		noKey   agentapi.NoKey
		key     string
	}{
		{name: "exact", author: author{from: []string{"a@example.org"}}, noKey: agentapi.NoKeyTempfail, key: "k"},
		{name: "stream", author: author{from: []string{"a@example.org"}, stream: "marketing"}, noKey: agentapi.NoKeyPass, key: "m"},
		{name: "unknown stream", author: author{from: []string{"a@example.org"}, stream: "other"}, want: ReasonNotAssigned, noKey: agentapi.NoKeyPass},
		{name: "below", author: author{from: []string{"a@sub.example.org"}}, want: ReasonNotAssigned, noKey: agentapi.NoKeyPass},
		{name: "above", author: author{from: []string{"a@org"}}, want: ReasonNotAssigned, noKey: agentapi.NoKeyPass},
		{name: "no key", author: author{from: []string{"a@empty.example"}}, want: ReasonNoKey, noKey: agentapi.NoKeyTempfail},
		{name: "allowed", allowed: map[string]bool{"example.org": true}, author: author{from: []string{"a@example.org"}}, noKey: agentapi.NoKeyTempfail, key: "k"},
		{name: "not allowed", allowed: map[string]bool{"example.net": true}, author: author{from: []string{"a@example.org"}}, want: ReasonNotAllowed, noKey: agentapi.NoKeyPass},
		{name: "no From", author: author{}, want: ReasonFromMissing, noKey: agentapi.NoKeyPass},
		{name: "two From", author: author{from: []string{"a@example.org", "a@example.org"}}, want: ReasonFromMultipleFields, noKey: agentapi.NoKeyPass},
		{name: "odd From", author: author{from: []string{"a"}}, want: ReasonFromUnparsable, noKey: agentapi.NoKeyPass},
	} {
		got := choose(table, c.allowed, c.author)
		id := ""
		if got.reason == signed && len(got.signing) > 0 {
			id = got.signing[0].id
		}
		if got.reason != c.want || got.noKey != c.noKey || id != c.key {
			t.Errorf("%s: reason %q, no_key %q, key %q", c.name, got.reason, got.noKey, id)
		}
	}
	if c := choose(table, nil, author{from: []string{"a@example.org"}}); !c.bulk {
		t.Error("bulk was lost")
	}
}

// tableOf is a table in which one key signs.
func tableOf(id string) *Table {
	return &Table{assigned: map[tableKey]*assigned{{"example.org", "default"}: {signing: []*activeKey{{id: id}}}}}
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
