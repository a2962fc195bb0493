package agent

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

var (
	metricsHead = regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	metricsLine = regexp.MustCompile(`^([a-z_]+?)(_sum|_count)?((?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})?) (-?[0-9.e+-]+)$`)
)

// parseMetrics reads the text format as a scraper does and complains about what one would stumble over.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	kinds := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := metricsHead.FindStringSubmatch(line); m != nil {
			if m[1] == "TYPE" {
				if kinds[m[2]] != "" {
					t.Errorf("%s is there twice", m[2])
				}
				kinds[m[2]] = m[3]
			}
			continue
		}
		m := metricsLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("not a line of the format: %q", line)
			continue
		}
		name := m[1]
		if kinds[name+m[2]] != "" {
			name += m[2]
		} else if m[2] != "" && kinds[name] != "summary" {
			t.Errorf("%s%s without its type", m[1], m[2])
		}
		if kinds[name] == "" {
			t.Errorf("%s has no type", name)
		}
		if strings.HasSuffix(name, "_total") != (kinds[name] == "counter") {
			t.Errorf("%s is a %s", name, kinds[name])
		}
		key := m[1] + m[2] + m[3]
		if _, twice := out[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		v, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		out[key] = v
	}
	return out
}

func TestMetricsSayWhatWasSigned(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Metrics = Metrics{Address: "127.0.0.1:0"} })
	r.assign("example.org", rsaKey("k-rsa", "s1"), edKey("k-ed", "s2"))
	a := r.start()
	a.counters.verdicts.add("dkim", "fail", "body_hash_mismatch")
	a.counters.verdicts.add("dkim", "pass", "")
	a.counters.verdicts.add("dmarc", "fail", "reject")
	a.counters.verdicts.add("spf", "a \"b\"\\\nc")
	r.bring("example.org", "k-rsa", "s1", 1)
	r.bring("example.org", "k-ed", "s2", 1)
	r.assign("other.example", edKey("k-never", "s3"))
	r.bring("other.example", "k-never", "s3", 1)
	m := dialMTA(t, a, 0, mtaOptions{})
	for range 3 {
		m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	}
	m.send(simpleMail("ann@example.com", "hello\r\n"), 0)

	get := func(path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + a.metricsAddr.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer http.DefaultClient.CloseIdleConnections()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
	code, text := get("/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	got := parseMetrics(t, text)
	for key, want := range map[string]float64{
		`signed_total{domain="example.org",selector="s1",algorithm="rsa2048"}`: 3,
		`signed_total{domain="example.org",selector="s2",algorithm="ed25519"}`: 3,
		`unsigned_total{reason="not_assigned"}`:                                1,
		`signing_seconds_count{step="sign"}`:                                   3,
		`signing_seconds_count{step="hash"}`:                                   3,
		`key_lookups_total{result="miss"}`:                                     2,
		`key_lookups_total{result="hit"}`:                                      4,
		`connections`:                                                          1,
		`messages_in_flight`:                                                   0,
		`control_plane_up`:                                                     1,
		`assignments`:                                                          2,
		`keys`:                                                                 3,
		`verified_dkim_total{result="fail",reason="body_hash_mismatch"}`:       1,
		`verified_dkim_total{result="pass",reason=""}`:                         1,
		`verified_dmarc_total{result="fail",policy="reject"}`:                  1,
		`verified_spf_total{result="a \"b\"\\\nc",reason=""}`:                  1,
	} {
		if v, ok := got["postseal_agent_"+key]; !ok || v != want {
			t.Errorf("%s = %v (%v), want %v", key, v, ok, want)
		}
	}
	for _, step := range []string{"lookup", "hash", "sign"} {
		if v := got[fmt.Sprintf("postseal_agent_signing_seconds_sum{step=%q}", step)]; v <= 0 || v > 60 {
			t.Errorf("%s took %v s", step, v)
		}
	}
	if strings.Contains(text, "s3") {
		t.Error("a key that never signed has a row")
	}
	if s := a.Status(); len(s.Times) != 3 || s.Times[2].Messages != 3 || s.Times[2].MicrosecondsEach <= 0 {
		t.Errorf("status: %+v", s.Times)
	}
}

func TestMetricsAreForLoopbackUnlessPeersAreNamed(t *testing.T) {
	for _, c := range []struct {
		metrics Metrics
		want    string // of the error, "" for none
	}{
		{Metrics{}, ""},
		{Metrics{Address: "127.0.0.1:9810"}, ""},
		{Metrics{Address: "[::1]:9810"}, ""},
		{Metrics{Address: "192.0.2.1:9810", Peers: []string{"192.0.2.0/24"}}, ""},
		{Metrics{Address: "192.0.2.1:9810"}, "not on loopback"},
		{Metrics{Address: "0.0.0.0:9810"}, "not on loopback"},
		{Metrics{Address: "unix:/run/x"}, "not host:port"},
		{Metrics{Address: "nonsense"}, "not host:port"},
		{Metrics{Peers: []string{"192.0.2.1"}}, "without an address"},
		{Metrics{Address: "127.0.0.1:9810", Peers: []string{"x"}}, "peers"},
	} {
		_, err := compile(Config{Metrics: c.metrics})
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.metrics, err, c.want)
		}
		if err != nil && fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", c.metrics, fault.CodeOf(err))
		}
	}
	if !permits(nil, "127.0.0.1:5") {
		t.Error("no list of peers lets nobody in")
	}
	spec, err := compileMetrics(Metrics{Address: "192.0.2.1:9810", Peers: []string{"192.0.2.0/24"}})
	if err != nil || !permits(spec.peers, "192.0.2.9:5") || permits(spec.peers, "198.51.100.1:5") || permits(spec.peers, "nonsense") {
		t.Errorf("peers are not obeyed (%v)", err)
	}
}
