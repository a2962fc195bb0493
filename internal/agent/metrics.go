package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metricsContent is version 0.0.4 of the Prometheus text format.
const metricsContent = "text/plain; version=0.0.4; charset=utf-8"

// Times of the metrics listener: a scraper is close by and in a hurry.
const (
	metricsHeaderTimeout = 5 * time.Second
	metricsWriteTimeout  = 30 * time.Second // a hundred thousand keys are some 20 MB
	metricsIdleTimeout   = 2 * time.Minute  // longer than the usual minute between two scrapes
)

// openMetrics opens the listener for /metrics; nil when the configuration has none.
func (a *Agent) openMetrics(ctx context.Context) (net.Listener, error) {
	spec := a.settings.Load().metrics
	if spec == nil {
		return nil, nil
	}
	return openListener(ctx, *spec)
}

// serveMetrics answers GET /metrics until the listener is closed.
func (a *Agent) serveMetrics(server *http.Server, ln net.Listener) {
	if err := server.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.log.Error("the metrics listener stopped", "error", err)
		a.setCondition(conditionListener, "the metrics listener stopped; restart the agent: "+err.Error())
	}
}

func (a *Agent) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if !permits(a.settings.Load().metrics.peers, r.RemoteAddr) {
			http.Error(w, "this address is not among metrics.peers", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", metricsContent)
		out := bufio.NewWriter(w)
		a.writeMetrics(out)
		_ = out.Flush()
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: metricsHeaderTimeout, WriteTimeout: metricsWriteTimeout, IdleTimeout: metricsIdleTimeout}
}

// Measured is one number that another part of the agent has for /metrics.
type Measured struct {
	Name   string // without "postseal_agent_"; one of a few that stay the same
	Help   string // one line
	Kind   string // "counter" or "gauge"
	Labels []Label
	Value  float64
}

// Label is one label of a number.
type Label struct{ Name, Value string }

// writeMetrics writes what is counted. Keys that have not signed are left out.
func (a *Agent) writeMetrics(w io.Writer) {
	m := metricsWriter{w: w}
	m.family("build_info", "gauge", "The version of this agent.")
	m.value(1, Label{"version", software()})
	m.family("messages_in_flight", "gauge", "Messages of ours under way.")
	m.value(float64(a.slots.Load()))
	m.family("connections", "gauge", "Open milter connections.")
	m.value(float64(a.open.Load()))

	c := a.counters
	a.writeSigned(&m)
	m.family("unsigned_total", "counter", "Messages of ours that were not signed, by reason.")
	reasons := c.reasonTotals()
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		m.value(float64(reasons[reason]), Label{"reason", reason})
	}
	m.family("eight_bit_total", "counter", "Signed messages whose signature a conversion to 7 bits would break.")
	m.value(float64(c.warned.Load()))

	m.family("signing_seconds", "summary", "Time per signed message, by step: finding its keys, hashing its body, hashing its header and the operations with private keys.")
	messages := float64(c.times.messages.Load())
	for _, step := range c.times.steps() {
		m.suffixed("_sum", step.spent.Seconds(), Label{"step", step.name})
		m.suffixed("_count", messages, Label{"step", step.name})
	}
	hits, misses := a.keys.Lookups()
	m.family("key_lookups_total", "counter", "Keys that a message needed, by whether they were in memory.")
	m.value(float64(hits), Label{"result", "hit"})
	m.value(float64(misses), Label{"result", "miss"})

	a.writeFleet(&m)
	if a.measured != nil {
		last := ""
		for _, x := range a.measured() {
			if x.Name != last {
				m.family(x.Name, x.Kind, x.Help)
				last = x.Name
			}
			m.value(x.Value, x.Labels...)
		}
	}
}

// writeSigned writes the keys that have signed.
func (a *Agent) writeSigned(m *metricsWriter) {
	type row struct {
		domain, selector, algorithm string
		signed                      uint64
		age                         time.Duration
		hasAge                      bool
	}
	c := a.counters
	c.mu.Lock()
	counts := maps.Clone(c.keys)
	c.mu.Unlock()
	var rows []row
	a.fleet.mu.Lock()
	for id, n := range counts {
		k := a.fleet.keys[id]
		if k == nil || !k.named() {
			continue // what no instruction names has no domain any more
		}
		r := row{domain: k.assignment.Domain, selector: k.key.Selector, algorithm: k.key.Algorithm(), signed: n.signed.Load()}
		r.age, r.hasAge = c.age(n)
		rows = append(rows, r)
	}
	a.fleet.mu.Unlock()
	slices.SortFunc(rows, func(x, y row) int {
		return strings.Compare(x.domain+"\x00"+x.selector, y.domain+"\x00"+y.selector)
	})
	labels := func(r row) []Label {
		return []Label{{"domain", r.domain}, {"selector", r.selector}, {"algorithm", r.algorithm}}
	}
	m.family("signed_total", "counter", "Signatures, by key.")
	for _, r := range rows {
		m.value(float64(r.signed), labels(r)...)
	}
	m.family("last_signature_age_seconds", "gauge", "How long ago a key last signed.")
	for _, r := range rows {
		if r.hasAge {
			m.value(r.age.Seconds(), labels(r)...)
		}
	}
}

// writeFleet writes how the agent stands with its control plane.
func (a *Agent) writeFleet(m *metricsWriter) {
	f := &a.fleet
	f.mu.Lock()
	age, reached := -1.0, 0.0
	if !f.contact.IsZero() {
		age = max(0, a.now().Sub(f.contact).Seconds())
		if f.trouble == "" {
			reached = 1
		}
	}
	assignments, keys, version := len(f.wanted.Assignments), len(f.keys), f.applied
	conditions := slices.Sorted(maps.Keys(f.conditions))
	f.mu.Unlock()
	m.family("control_plane_up", "gauge", "Whether the last exchange with the control plane worked.")
	m.value(reached)
	m.family("control_plane_contact_age_seconds", "gauge", "Time since the control plane last answered; -1 when it has not since the start.")
	m.value(age)
	m.family("instructions_version", "gauge", "Version of the instructions in force.")
	m.value(float64(version))
	m.family("assignments", "gauge", "Domains and streams that may be signed for.")
	m.value(float64(assignments))
	m.family("keys", "gauge", "Keys that are here or wanted here.")
	m.value(float64(keys))
	m.family("condition", "gauge", "What a person should look at (postseal agent status says it in a sentence).")
	for _, word := range conditions {
		m.value(1, Label{"condition", word})
	}
}

// metricsWriter writes the text format.
type metricsWriter struct {
	w    io.Writer
	name string
}

// family begins a metric.
func (m *metricsWriter) family(name, kind, help string) {
	m.name = "postseal_agent_" + name
	fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s %s\n", m.name, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help), m.name, kind)
}

func (m *metricsWriter) value(v float64, labels ...Label) { m.suffixed("", v, labels...) }

func (m *metricsWriter) suffixed(suffix string, v float64, labels ...Label) {
	var b strings.Builder
	b.WriteString(m.name + suffix)
	for i, l := range labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(l.Name + `="`)
		for _, r := range l.Value {
			switch r {
			case '\\', '"':
				b.WriteByte('\\')
				b.WriteRune(r)
			case '\n':
				b.WriteString(`\n`)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteString(" " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
	_, _ = io.WriteString(m.w, b.String())
}
