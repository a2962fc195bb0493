package providertest

import (
	"context"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Day is what is wrong with a host for a while; the zero value is a good day.
type Day struct {
	Status     int           // every request is answered with this status
	RetryAfter time.Duration // and this header field
	HTML       bool          // every request is answered with a page for people, status 200
	Huge       bool          // every request is answered with more JSON than anybody needs
	Silent     bool          // no reply ends before the client gives up
	Redirect   string        // every request is redirected to this URL
	Drops      int           // so many writes are carried out, and the connection is closed before the reply
	Endless    bool          // lists have a next page for ever; the stand-in asks EndlessPages

	Loses     bool // writes are accepted and not carried out
	Halves    int  // so many writes are carried out by half
	HalfFails bool // and answered with an error
	Lags      int  // so many reads after a write show what stood before
}

// Dawn begins a day.
func (h *Host) Dawn(d Day) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.day, h.old, h.lag = d, nil, 0
}

// EndlessPages says whether lists have no end today.
func (h *Host) EndlessPages() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.day.Endless
}

// Weather is the day's weather before a stand-in. Requests counts what came in.
type Weather struct {
	host     *Host
	inner    http.Handler
	requests atomic.Int64
}

// Under puts a stand-in under the weather of its host.
func (h *Host) Under(inner http.Handler) *Weather { return &Weather{host: h, inner: inner} }

// Requests returns how many requests came in so far.
func (w *Weather) Requests() int64 { return w.requests.Load() }

// ServeHTTP answers as the day is.
func (w *Weather) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.requests.Add(1)
	w.host.mu.Lock()
	d := w.host.day
	drop := d.Drops > 0 && r.Method != http.MethodGet
	if drop {
		w.host.day.Drops--
	}
	w.host.mu.Unlock()
	switch {
	case d.RetryAfter > 0:
		rw.Header().Set("Retry-After", strconv.Itoa(int(d.RetryAfter/time.Second)))
		fallthrough
	case d.Status != 0:
		http.Error(rw, "<html><body>"+http.StatusText(d.Status)+"</body></html>", d.Status)
	case d.HTML:
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(rw, "<!DOCTYPE html><title>Maintenance</title><p>We are back soon.")
	case d.Huge:
		rw.Header().Set("Content-Type", "application/json")
		chunk := strings.Repeat(" ", 1<<20)
		for range 8 {
			if _, err := io.WriteString(rw, chunk); err != nil {
				return
			}
		}
		io.WriteString(rw, "{}")
	case d.Silent:
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, "{")
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	case d.Redirect != "":
		http.Redirect(rw, r, d.Redirect+r.URL.Path, http.StatusTemporaryRedirect)
	case drop:
		w.inner.ServeHTTP(&discarding{header: make(http.Header)}, r)
		panic(http.ErrAbortHandler)
	default:
		w.inner.ServeHTTP(rw, r)
	}
}

// quiet keeps the connections that a day drops out of the test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// discarding is a reply that nobody gets.
type discarding struct{ header http.Header }

func (d *discarding) Header() http.Header         { return d.header }
func (d *discarding) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarding) WriteHeader(int)             {}

// Clock is a clock that stands still but for those who sleep by it. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now returns its time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass lets time pass.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Sleep lets time pass, unless the context has ended.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c.Pass(d)
	return nil
}
