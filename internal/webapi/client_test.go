package webapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher/providertest"
	"github.com/postseal/postseal/internal/webapi"
)

// answer is a transport that answers without a network.
type answer func() (status int, body string)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := a()
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func client(t *testing.T, api webapi.API, o webapi.Options) (*webapi.Client, *providertest.Clock) {
	t.Helper()
	clock := providertest.NewClock()
	o.Timing.Now, o.Timing.Sleep = clock.Now, clock.Sleep
	if o.Transport == nil {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		o.Transport = transport
	}
	api.Vendor = "Vendor"
	c, err := webapi.NewClient(api, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, clock
}

// A question is repeated, a write is not; a request that was turned away for its number is, whatever it is.
func TestRepeated(t *testing.T) {
	tests := []struct {
		method string
		status int
		times  int64
	}{
		{"GET", 500, 4}, {"GET", 503, 4}, {"GET", 429, 4}, {"GET", 404, 1}, {"GET", 400, 1},
		{"PUT", 500, 1}, {"POST", 502, 1}, {"DELETE", 503, 1}, {"POST", 429, 4},
	}
	for _, tt := range tests {
		var n atomic.Int64
		c, clock := client(t, webapi.API{Endpoint: "https://api.example"}, webapi.Options{Transport: answer(func() (int, string) { n.Add(1); return tt.status, "" })})
		before := clock.Now()
		_, err := c.Do(t.Context(), webapi.Request{Method: tt.method, Path: "/x"}, nil)
		if n.Load() != tt.times || webapi.Status(err) != tt.status {
			t.Errorf("%s %d: sent %d times, %v", tt.method, tt.status, n.Load(), err)
		}
		if waited := clock.Now().Sub(before); waited > 12*time.Second || tt.times > 1 && waited < time.Second {
			t.Errorf("%s %d: waited %s", tt.method, tt.status, waited)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := providertest.NewClock().Now()
	tests := []struct {
		header string
		sent   int64         // with one call
		held   time.Duration // for how long no further request is sent
	}{
		{"2", 4, 0}, {"", 4, 0}, {"nonsense", 4, 0}, {"-5", 4, 0},
		{"600", 1, 10 * time.Minute},
		{now.Add(time.Hour).Format(http.TimeFormat), 1, time.Hour},
		{"4000000000", 1, 24 * time.Hour},
		{"99999999999999999999", 4, 0},
	}
	for _, tt := range tests {
		var n atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n.Add(1)
			w.Header().Set("Retry-After", tt.header)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		c, clock := client(t, webapi.API{Endpoint: server.URL}, webapi.Options{})
		do := func() { c.Do(t.Context(), webapi.Request{Method: "GET", Path: "/"}, nil) }
		do()
		if n.Load() != tt.sent {
			t.Errorf("%q: sent %d times, want %d", tt.header, n.Load(), tt.sent)
		}
		if tt.held > 0 {
			clock.Pass(tt.held - time.Minute)
			if do(); n.Load() != tt.sent {
				t.Errorf("%q: sent before the time", tt.header)
			}
			clock.Pass(time.Minute)
			if do(); n.Load() == tt.sent {
				t.Errorf("%q: not sent after the time", tt.header)
			}
		}
		server.Close()
	}
}

// Nothing comes over the limits in any window, however requests are spread.
func TestRates(t *testing.T) {
	for _, rate := range []webapi.Rate{{Requests: 1, Per: time.Second}, {Requests: 2, Per: time.Second}, {Requests: 15, Per: time.Minute}, {Requests: 300, Per: time.Hour}} {
		var sent []time.Time
		clock := providertest.NewClock()
		c, err := webapi.NewClient(webapi.API{Vendor: "Vendor", Endpoint: "https://api.example", Writes: []webapi.Rate{rate}}, webapi.Options{
			Timing:    webapi.Timing{Now: clock.Now, Sleep: clock.Sleep},
			Transport: answer(func() (int, string) { sent = append(sent, clock.Now()); return 204, "" }),
		})
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range 4 * rate.Requests {
			if _, err := c.Do(t.Context(), webapi.Request{Method: "PUT", Path: "/", Zone: "example.org"}, nil); err != nil {
				refused++
				if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "used up") {
					t.Fatal(err)
				}
				clock.Pass(rate.Per / 10)
			}
			if i%7 == 0 {
				clock.Pass(rate.Per / time.Duration(3*rate.Requests))
			}
		}
		for i := range sent {
			n := 0
			for _, at := range sent[i:] {
				if at.Sub(sent[i]) < rate.Per {
					n++
				}
			}
			if n > rate.Requests {
				t.Fatalf("%d requests within %s, the limit is %d", n, rate.Per, rate.Requests)
			}
		}
		if len(sent) < rate.Requests {
			t.Errorf("%d per %s: only %d requests came through, %d were put off", rate.Requests, rate.Per, len(sent), refused)
		}
		// The other zone has limits of its own, and reading has none here.
		for _, r := range []webapi.Request{{Method: "PUT", Path: "/", Zone: "example.net"}, {Method: "GET", Path: "/"}} {
			if _, err := c.Do(t.Context(), r, nil); err != nil {
				t.Error(err)
			}
		}
	}
}

// A redirect within the host is followed for a question; to another host, port or scheme it is not, and a write is never sent on.
func TestRedirects(t *testing.T) {
	var visits atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer other.Close()
	var seen atomic.Value
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slash":
			http.Redirect(w, r, "/slash/", http.StatusMovedPermanently)
		case "/slash/":
			seen.Store(r.Header.Get("Authorization"))
			providertest.JSON(w, 200, "there")
		case "/away":
			http.Redirect(w, r, other.URL+"/?x="+strings.Repeat("y", 5000), http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	defer home.Close()
	t.Setenv("POSTSEAL_TEST_SECRET", "s3cret")
	c, _ := client(t, webapi.API{Endpoint: home.URL, Authorize: webapi.Bearer}, webapi.Options{Credential: "env:POSTSEAL_TEST_SECRET"})
	var out string
	if _, err := c.Do(t.Context(), webapi.Request{Method: "GET", Path: "/slash"}, &out); err != nil || out != "there" || seen.Load() != "Bearer s3cret" {
		t.Errorf("within the host: %q, %v, authorised by %v", out, err, seen.Load())
	}
	for _, r := range []webapi.Request{{Method: "GET", Path: "/away"}, {Method: "PUT", Path: "/away"}, {Method: "PUT", Path: "/slash"}, {Method: "GET", Path: "/loop"}} {
		_, err := c.Do(t.Context(), r, &out)
		if err == nil || fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "redirect") || len(err.Error()) > 500 {
			t.Errorf("%s %s: %v", r.Method, r.Path, err)
		}
	}
	if visits.Load() != 0 {
		t.Errorf("the other host got %d requests", visits.Load())
	}
}

// A vendor that repeats the credential in its reply is not repeated.
func TestSecretInReply(t *testing.T) {
	t.Setenv("POSTSEAL_TEST_SECRET", "s3cret")
	c, _ := client(t, webapi.API{Endpoint: "https://api.example", Authorize: webapi.Bearer, Rights: "look at it"}, webapi.Options{
		Credential: "env:POSTSEAL_TEST_SECRET", Transport: answer(func() (int, string) { return 401, `the token "s3cret" is unknown` }),
	})
	_, err := c.Do(t.Context(), webapi.Request{Method: "GET", Path: "/"}, nil)
	message, hint := fault.Show(err)
	if fault.CodeOf(err) != fault.Denied || strings.Contains(fmt.Sprint(err, message), "s3cret") || !strings.Contains(message, "is unknown") || hint != "look at it" {
		t.Errorf("%v, hint %q", err, hint)
	}
}

func TestEndpoints(t *testing.T) {
	var log bytes.Buffer
	for endpoint, want := range map[string][2]bool{ // [API that wants TLS, API of one's own servers]
		"https://api.example":           {true, true},
		"https://api.example/v1/":       {true, true},
		"http://127.0.0.1:8081":         {true, true},
		"http://[::1]:8081":             {true, true},
		"http://localhost":              {true, true},
		"http://192.0.2.1:8081":         {false, true},
		"http://127.0.0.1.example":      {false, true},
		"https://user:secret@a.example": {false, false},
		"https://a.example?x=1":         {false, false},
		"https://a.example#x":           {false, false},
		"ftp://a.example":               {false, false},
		"a.example":                     {false, false},
		"://":                           {false, false},
	} {
		for i, clear := range []bool{false, true} {
			_, err := webapi.NewClient(webapi.API{Vendor: "Vendor", Clear: clear}, webapi.Options{Endpoint: endpoint, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if (err == nil) != want[i] || err != nil && (fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "secret@")) {
				t.Errorf("%s, %t: %v", endpoint, clear, err)
			}
		}
	}
	if n := strings.Count(log.String(), "unencrypted"); n != 2 {
		t.Errorf("%d warnings: %s", n, &log)
	}
}

func TestPages(t *testing.T) {
	c, _ := client(t, webapi.API{Endpoint: "https://api.example"}, webapi.Options{})
	got, err := webapi.Pages(t.Context(), c, func(_ context.Context, n int) ([]int, bool, error) { return []int{n}, n < 3, nil })
	if err != nil || fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("%v, %v", got, err)
	}
	asked := 0
	_, err = webapi.Pages(t.Context(), c, func(context.Context, int) ([]int, bool, error) { asked++; return nil, true, nil })
	if err == nil || fault.CodeOf(err) != fault.Unavailable || asked > 100 {
		t.Errorf("%v after %d pages", err, asked)
	}
}

// A context that ends during a wait or a request ends the call.
func TestInterrupted(t *testing.T) {
	begun := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	c, _ := client(t, webapi.API{Endpoint: server.URL}, webapi.Options{Timing: webapi.Timing{Request: time.Minute}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	_, err := c.Do(ctx, webapi.Request{Method: "GET", Path: "/"}, nil)
	if err == nil || fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v", err)
	}
	if _, err := c.Do(ctx, webapi.Request{Method: "GET", Path: "/"}, nil); err == nil || len(begun) > 0 {
		t.Errorf("%v, %d further requests", err, len(begun))
	}
}
