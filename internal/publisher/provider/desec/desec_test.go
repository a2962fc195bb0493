package desec_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/desec"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "i-T3b1h_OI-of-the-tests"

var subject = providertest.Hosted{
	New: desec.New, Secret: token, Zone: "example.org", Pace: 15 * time.Minute,
	API: func(host *providertest.Host, clock *providertest.Clock) http.Handler {
		return standIn(host, clock, nil)
	},
	Raw: func(rrtype, value string) string {
		return hosted.Presentation(hosted.Record{Type: rrtype, Value: value})
	},
}

func TestStandIn(t *testing.T) { providertest.RunHosted(t, subject) }

// The vendor's limits are kept by ourselves: however many changes there are, none is turned away there; those that would take too long are put off with
// a reason, and all are made in the end.
func TestLimitsAreKept(t *testing.T) {
	var throttled atomic.Int64
	v := subject
	v.Pace = 0
	v.API = func(host *providertest.Host, clock *providertest.Clock) http.Handler {
		return standIn(host, clock, &throttled)
	}
	w := providertest.Wrap(t, v)
	const changes = 120
	putOff := 0
	begun := w.Clock.Now()
	for i := range changes {
		name := fmt.Sprintf("s%d._domainkey", i)
		c := publisher.Change{Name: name, Type: "TXT", Want: []libdns.Record{publisher.NewRecord(name, "TXT", "v=DKIM1; p=A", time.Hour)}}
		for {
			outcome, err := w.Provider.Set(t.Context(), "example.org", c)
			if err == nil && outcome == publisher.Done {
				break
			}
			if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "number of requests that deSEC takes is used up") {
				t.Fatalf("%q, %v", outcome, err)
			}
			putOff++
			w.Clock.Pass(time.Minute)
		}
	}
	took := w.Clock.Now().Sub(begun)
	if n := throttled.Load(); n != 0 || putOff == 0 || took < time.Hour {
		t.Errorf("%d requests were turned away, %d changes put off, all made in %s", n, putOff, took)
	}
}

// A TTL below the vendor's minimum is raised, one above its maximum lowered, wherever it comes from.
func TestTTLBounds(t *testing.T) {
	caps := providertest.Wrap(t, subject).Provider.Capabilities()
	if caps.MinTTL != time.Hour || caps.MaxTTL != 24*time.Hour {
		t.Errorf("%+v", caps)
	}
}

type rrset struct {
	Subname string   `json:"subname"`
	Type    string   `json:"type"`
	TTL     int      `json:"ttl"`
	Records []string `json:"records"`
	Domain  string   `json:"domain,omitempty"`
	Name    string   `json:"name,omitempty"`
}

// window is one limit that slides, as docs/rate-limits.rst describes it.
type window struct {
	most int
	per  time.Duration
}

type throttle struct {
	mu    sync.Mutex
	clock *providertest.Clock
	seen  map[string][]time.Time
}

// take counts a request; after is how long to wait when it is turned away.
func (t *throttle) take(scope string, windows []window) (after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	for _, w := range windows {
		within := 0
		var oldest time.Time
		for _, at := range t.seen[scope] {
			if at.After(now.Add(-w.per)) {
				if within == 0 {
					oldest = at
				}
				within++
			}
		}
		if within >= w.most {
			after = max(after, oldest.Add(w.per).Sub(now))
		}
	}
	if after == 0 {
		t.seen[scope] = append(t.seen[scope], now)
	}
	return after
}

const day = 24 * time.Hour

var (
	cheap     = []window{{10, time.Second}, {50, time.Minute}}
	perDomain = []window{{2, time.Second}, {15, time.Minute}, {100, time.Hour}, {300, day}}
	user      = []window{{2000, day}}

	subnames = regexp.MustCompile(`^([a-z0-9_-]+(\.[a-z0-9_-]+)*)?$`)
)

// standIn behaves as the documentation in desec-stack says: a Token, record sets in presentation form, bulk requests as a whole or not at all,
// a minimum TTL, sliding limits with Retry-After. turned counts what was turned away.
func standIn(host *providertest.Host, clock *providertest.Clock, turned *atomic.Int64) http.Handler {
	limits := &throttle{clock: clock, seen: map[string][]time.Time{}}
	detail := func(w http.ResponseWriter, status int, text string) {
		providertest.JSON(w, status, map[string]string{"detail": text})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /domains/{zone}/{$}", func(w http.ResponseWriter, r *http.Request) {
		providertest.JSON(w, http.StatusOK, map[string]any{"name": r.PathValue("zone"), "minimum_ttl": 3600})
	})
	mux.HandleFunc("GET /domains/{zone}/rrsets/{$}", func(w http.ResponseWriter, r *http.Request) {
		zone := r.PathValue("zone")
		if !r.URL.Query().Has("subname") {
			detail(w, http.StatusBadRequest, "Pagination required.")
			return
		}
		name := strings.TrimPrefix(r.FormValue("subname")+"."+zone, ".")
		out := []*rrset{}
	next:
		for _, rec := range host.At(zone, name) {
			for _, s := range out {
				if s.Type == rec.Type {
					s.Records = append(s.Records, rec.Raw)
					continue next
				}
			}
			out = append(out, &rrset{r.FormValue("subname"), rec.Type, rec.TTL, []string{rec.Raw}, zone, name + "."})
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	mux.HandleFunc("PUT /domains/{zone}/rrsets/{$}", func(w http.ResponseWriter, r *http.Request) {
		zone := r.PathValue("zone")
		in, err := providertest.Body[[]rrset](r)
		if err != nil || len(in) != 1 {
			detail(w, http.StatusBadRequest, "JSON parse error")
			return
		}
		s := in[0]
		name := strings.TrimPrefix(s.Subname+"."+zone, ".")
		if field, text := check(host.At(zone, name), s); field != "" {
			providertest.JSON(w, http.StatusBadRequest, []any{map[string][]string{field: {text}}})
			return
		}
		var records []providertest.HostRecord
		for _, v := range s.Records {
			records = append(records, providertest.HostRecord{Raw: v, TTL: s.TTL})
		}
		if host.Replace(zone, name, s.Type, records) != nil {
			detail(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
		providertest.JSON(w, http.StatusOK, in)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Token "+token {
			detail(w, http.StatusUnauthorized, "Invalid token.")
			return
		}
		zone := strings.Split(r.URL.Path+"//", "/")[2]
		after := limits.take("user", user)
		if r.Method == http.MethodGet {
			after = max(after, limits.take("cheap", cheap))
		} else {
			after = max(after, limits.take(zone, perDomain))
		}
		if after > 0 {
			if turned != nil {
				turned.Add(1)
			}
			wait := strconv.Itoa(int(after/time.Second) + 1)
			w.Header().Set("Retry-After", wait)
			detail(w, http.StatusTooManyRequests, "Request was throttled. Expected available in "+wait+" seconds.")
			return
		}
		if !host.Has(zone) {
			detail(w, http.StatusNotFound, "Not found.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func check(standing []providertest.HostRecord, s rrset) (field, text string) {
	if !subnames.MatchString(s.Subname) {
		return "subname", "Subname can only use (lowercase) a-z, 0-9, ., -, and _, may start with a '*.', or just be '*'."
	}
	if s.TTL < 3600 {
		return "ttl", "Ensure this value is greater than or equal to 3600."
	}
	if s.TTL > 86400 {
		return "ttl", "Ensure this value is less than or equal to 86400."
	}
	for _, v := range s.Records {
		if _, ok := hosted.Unquote(v); s.Type == "TXT" && (!ok || !strings.HasPrefix(v, `"`)) {
			return "records", "Cannot parse record contents: Data for TXT records must be quoted."
		}
		if s.Type == "CNAME" && !strings.HasSuffix(v, ".") {
			return "records", "Hostname must be fully qualified (i.e., end in a dot: \"example.com.\")"
		}
	}
	for _, have := range standing {
		if len(s.Records) > 0 && have.Type != s.Type && (have.Type == "CNAME" || s.Type == "CNAME") {
			return "non_field_errors", "RRset with conflicting type present: " + have.Type + ". (No other RRsets are allowed alongside CNAME.)"
		}
	}
	return "", ""
}

func FuzzReplies(f *testing.F) { providertest.FuzzReplies(f, subject) }
