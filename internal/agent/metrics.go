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
	m.steps(&c.times, "sign")
	hits, misses := a.keys.Lookups()
	m.family("key_lookups_total", "counter", "Keys that a message needed, by whether they were in memory.")
	m.value(float64(hits), Label{"result", "hit"})
	m.value(float64(misses), Label{"result", "miss"})

	a.refusals.writeMetrics(&m)
	a.writeFleet(&m)
	a.writeVerified(&m)
}

// verifiedFamilies are the families of what is counted of mail of others: the first word of a total is the family's, the others are its
// labels.
var verifiedFamilies = []struct {
	word, name, help string
	labels           []string
}{
	{"dkim", "verified_dkim_total", "Messages of others by the result of their best signature.", []string{"result", "reason"}},
	{"spf", "verified_spf_total", "Messages of others by the result of SPF.", []string{"result", "reason"}},
	{"dmarc", "verified_dmarc_total", "Messages of others by the result of DMARC and what the author's domain asks for.", []string{"result", "policy"}},
	{"action", "verified_action_total", "What was done with messages of others.", []string{"action"}},
	{"field", "verified_field_total", "Header fields of others that were removed, or could not be added.", []string{"what"}},
	{"trouble", "verified_trouble_total", "Messages of others that were not looked at.", []string{"reason"}},
}

// writeVerified writes what is counted of mail of others, and of the look-ups for it.
func (a *Agent) writeVerified(m *metricsWriter) {
	c := &a.counters.verdicts
	totals := c.totals()
	words := slices.Sorted(maps.Keys(totals))
	for _, f := range verifiedFamilies {
		m.family(f.name, "counter", f.help)
		for _, key := range words {
			parts := strings.Split(key, "/")
			if parts[0] != f.word {
				continue
			}
			labels := make([]Label, len(f.labels))
			for i, name := range f.labels {
				labels[i].Name = name
				if i+1 < len(parts) {
					labels[i].Value = parts[i+1]
				}
			}
			m.value(float64(totals[key]), labels...)
		}
	}
	m.family("verifying_seconds", "summary", "Time per verified message, by step: hashing its body, looking up keys, SPF and DMARC, and checking the signatures.")
	m.steps(&c.times, "check")
	if a.cache == nil {
		return
	}
	stats := a.cache.Stats()
	m.family("dns_lookups_total", "counter", "Look-ups for mail of others, by where the answer came from.")
	for _, x := range []struct {
		result string
		n      uint64
	}{{"hit", stats.Hits}, {"negative_hit", stats.NegativeHits}, {"error_hit", stats.ErrorHits}, {"miss", stats.Misses}, {"shared", stats.Shared}, {"busy", stats.Busy}} {
		m.value(float64(x.n), Label{"result", x.result})
	}
	m.family("dns_errors_total", "counter", "Questions to DNS that ended without a usable answer.")
	m.value(float64(stats.Errors))
	m.family("dns_cache_entries", "gauge", "Answers that are kept.")
	m.value(float64(stats.Entries))
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

// steps writes the rows of a summary of steps; keys names the last one.
func (m *metricsWriter) steps(t *timeTotals, keys string) {
	messages := float64(t.messages.Load())
	for _, step := range t.steps(keys) {
		m.suffixed("_sum", step.spent.Seconds(), Label{"step", step.name})
		m.suffixed("_count", messages, Label{"step", step.name})
	}
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
