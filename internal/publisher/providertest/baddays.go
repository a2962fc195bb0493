package providertest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// BadDays is a provider of a hosted API with its stand-in.
type BadDays struct {
	Subject
	Host    *Host
	Weather *Weather
	Clock   *Clock // of the provider
	Secret  string // the credential, which must not show anywhere
	Paged   bool   // the vendor lists the records at a name in pages
	url     string // of the stand-in
}

// How long a provider under test waits for a reply: shortly where none comes, else so long that a busy machine does not matter.
const (
	shortRequest = 250 * time.Millisecond
	longRequest  = 20 * time.Second
)

// mostRequests is how many requests one change may cost on the worst day, so that a vendor in trouble is not made busier.
const mostRequests = 25

// badday is what one case works with: a foreign record beside ours, and ours standing.
type badday struct {
	BadDays
	name    string // ours, relative
	foreign []string
}

// RunBadDays runs what a DNS host's API does when it is not well. request is how long the provider waits for a reply. Whatever happens: no foreign
// record is touched, nothing is called done that does not stand, and the error says what is wrong without the secret.
func RunBadDays(t *testing.T, open func(t *testing.T, request time.Duration) BadDays) {
	cases := []struct {
		name    string
		request time.Duration
		run     func(t *testing.T, b *badday)
	}{
		{"500 for an hour", longRequest, badHour},
		{"slow down, says the vendor", longRequest, badRetryAfter},
		{"a page for people", longRequest, badHTML},
		{"a reply without end", longRequest, badHuge},
		{"a reply that does not come", shortRequest, badSilence},
		{"a redirect to another host", longRequest, badRedirect},
		{"pages for ever", longRequest, badPages},
		{"a write is lost", longRequest, badLoss},
		{"a write is carried out by half", longRequest, badHalf},
		{"a write by half, and an error", longRequest, badHalfError},
		{"half for ever", longRequest, badHalfForEver},
		{"a reply is lost", longRequest, badDrop},
		{"a reply to a creation is lost", longRequest, badDropCreation},
		{"the view lags", longRequest, badLag},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &badday{BadDays: open(t, c.request), name: "bad._domainkey"}
			if c.name == "pages for ever" && !b.Paged {
				t.Skip("this API has no pages where a name is read")
			}
			b.Plant(t, "neighbour._domainkey", publisher.TXT, theirs)
			b.Plant(t, "neighbour", publisher.CNAME, "target.example.net")
			b.done(t, change(b.name, publisher.TXT, "", keyA))
			b.foreign = b.others()
			c.run(t, b)
			if now := b.others(); !slices.Equal(now, b.foreign) {
				t.Errorf("records of others changed: %q → %q", b.foreign, now)
			}
		})
	}
}

func (b *badday) others() []string {
	return b.Host.Dump(b.Zone, publisher.Absolute(b.name, b.Zone), "created._domainkey."+b.Zone)
}

// fails makes a change that must fail for now, with a sentence that holds words.
func (b *badday) fails(t *testing.T, c publisher.Change, words string) {
	t.Helper()
	before := b.Weather.Requests()
	outcome, err := b.Provider.Set(t.Context(), b.Zone, c)
	if err == nil || outcome != "" || fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("%q, %v; want unavailable", outcome, err)
	}
	message, hint := fault.Show(err)
	if !strings.Contains(message, words) || hint == "" {
		t.Errorf("%q, hint %q: want %q and a hint", message, hint, words)
	}
	if whole := message + hint + err.Error(); strings.Contains(whole, b.Secret) || strings.ContainsAny(whole, "<>\n") {
		t.Errorf("the error shows the secret or markup: %q", whole)
	}
	if spent := b.Weather.Requests() - before; spent > mostRequests && words != "does not end" {
		t.Errorf("one change cost %d requests", spent)
	}
}

// raw returns the values of ours as the host holds them.
func (b *badday) raw(name string) int {
	n := 0
	for _, line := range b.Host.Dump(b.Zone) {
		if strings.HasPrefix(line, publisher.Absolute(name, b.Zone)+" TXT ") {
			n++
		}
	}
	return n
}

func (b *badday) next() publisher.Change { return change(b.name, publisher.TXT, keyA, keyB) }

func badHour(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Status: http.StatusInternalServerError})
	for end := b.Clock.Now().Add(time.Hour); b.Clock.Now().Before(end); b.Clock.Pass(5 * time.Minute) {
		b.fails(t, b.next(), "500")
	}
	b.Host.Dawn(Day{})
	b.stands(t, b.name, publisher.TXT, keyA)
	b.done(t, b.next())
}

func badRetryAfter(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Status: http.StatusTooManyRequests, RetryAfter: 30 * time.Minute})
	b.fails(t, b.next(), "429")
	asked := b.Weather.Requests()
	b.Clock.Pass(10 * time.Minute)
	b.fails(t, b.next(), "no requests before")
	if now := b.Weather.Requests(); now != asked {
		t.Errorf("%d requests although the vendor asked for a pause", now-asked)
	}
	b.Host.Dawn(Day{})
	b.Clock.Pass(21 * time.Minute)
	b.done(t, b.next())
}

func badHTML(t *testing.T, b *badday) {
	b.Host.Dawn(Day{HTML: true})
	b.fails(t, b.next(), "text/html")
	b.Host.Dawn(Day{})
	b.done(t, b.next())
}

func badHuge(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Huge: true})
	b.fails(t, b.next(), "larger than")
	b.Host.Dawn(Day{})
	b.done(t, b.next())
}

func badSilence(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Silent: true})
	b.fails(t, b.next(), "in time")
	b.Host.Dawn(Day{})
	if b.raw(b.name) != 1 {
		t.Errorf("%d records stand", b.raw(b.name))
	}
}

func badRedirect(t *testing.T, b *badday) {
	var visits atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(other.Close)
	b.Host.Dawn(Day{Redirect: other.URL})
	b.fails(t, b.next(), "redirect")
	if n := visits.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
	b.Host.Dawn(Day{})
	b.done(t, b.next())
}

func badPages(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Endless: true})
	b.fails(t, b.next(), "does not end")
	b.Host.Dawn(Day{})
	b.Clock.Pass(time.Hour) // that has cost many requests
	b.stands(t, b.name, publisher.TXT, keyA)
	b.done(t, b.next())
}

func badLoss(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Loses: true})
	b.fails(t, b.next(), "still shows")
	b.fails(t, change("created._domainkey", publisher.TXT, "", keyA), "still shows nothing")
	b.fails(t, change(b.name, publisher.TXT, keyA, ""), "still shows")
	b.Host.Dawn(Day{})
	b.done(t, b.next())
}

func badHalf(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Halves: 1})
	b.done(t, b.next())
	if b.raw(b.name) != 1 {
		t.Errorf("%d records stand", b.raw(b.name))
	}
}

func badHalfError(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Halves: 1, HalfFails: true})
	b.done(t, b.next())
	if b.raw(b.name) != 1 {
		t.Errorf("%d records stand", b.raw(b.name))
	}
}

func badHalfForEver(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Halves: 1 << 20})
	b.fails(t, b.next(), "")
	if n := len(b.get(t, b.name)); n != 0 {
		t.Errorf("Get returns %d records, nothing stands", n)
	}
	b.Host.Dawn(Day{})
	b.done(t, b.next()) // what was begun is completed
}

func badDrop(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Drops: 1})
	b.done(t, b.next())
	b.Host.Dawn(Day{Drops: 1})
	b.done(t, change(b.name, publisher.TXT, keyB, ""))
}

func badDropCreation(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Drops: 1})
	b.done(t, change("created._domainkey", publisher.TXT, "", keyA))
	if n := b.raw("created._domainkey"); n != 1 {
		t.Errorf("%d records were created", n)
	}
}

func badLag(t *testing.T, b *badday) {
	b.Host.Dawn(Day{Lags: 3})
	b.done(t, b.next())
	b.done(t, change("created._domainkey", publisher.TXT, "", keyA))
	if n := b.raw("created._domainkey"); n != 1 {
		t.Errorf("%d records were created", n)
	}
}
