package web

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

// Root is where the console is mounted.
const Root = "/console/"

// cookieName has the prefix that browsers keep for cookies of this host alone, over TLS, that no other may set.
const cookieName = "__Host-postseal"

//go:embed assets
var assets embed.FS

// Access says who a token belongs to.
type Access interface {
	// Authenticate returns who a token belongs to; fault.Unauthenticated.
	Authenticate(ctx context.Context, token string) (access.Principal, error)
}

// Storage is what the console needs of the inventory.
type Storage interface {
	Now(ctx context.Context) (time.Time, error)
	// Domain returns one domain; fault.NotFound.
	Domain(ctx context.Context, name string) (inventory.Domain, error)
	// Domains returns a page of domains by name.
	Domains(ctx context.Context, f DomainFilter) ([]inventory.Domain, error)
	// Situation reads everything about a domain; fault.NotFound.
	Situation(ctx context.Context, domain string) (lifecycle.Situation, error)
}

// DomainFilter selects a page of domains.
type DomainFilter struct {
	After  string   // names after this one, exclusive; "" = from the start
	Limit  int      // at most so many; > 0
	Labels []string // with at least one of these; empty = all
}

// Reports is what receivers report, and where it is kept.
type Reports interface {
	report.Answers
	report.Knower
	// Take reads an arrival and stores it.
	Take(ctx context.Context, a report.Arrival) (report.Receipt, error)
	// Judge says what the reports of a time mean for a domain.
	Judge(ctx context.Context, s lifecycle.Situation, p report.Period) (report.Judgement, error)
	// Octets returns an input as it arrived; fault.NotFound when it is kept no more.
	Octets(ctx context.Context, input string) (report.Arrival, error)
	// Names are what DNS calls addresses; those without a name are missing.
	Names(ctx context.Context, addresses []netip.Addr) map[netip.Addr]string
	// Postmaster is what Google Postmaster Tools say of a domain beside the reports.
	Postmaster(ctx context.Context, domain string, p report.Period) (postmaster.Witness, error)
}

// Options are what a console is made of.
type Options struct {
	Storage Storage
	Access  Access
	Reports Reports
	Log     *slog.Logger     // nil = discard
	Clock   func() time.Time // of sessions and attempts; nil = time.Now
}

// Console serves the pages below Root. It is safe for concurrent use.
type Console struct {
	storage  Storage
	access   Access
	reports  Reports
	log      *slog.Logger
	pages    pages
	sessions *sessions
	attempts *attempts
	uploads  *uploads
	handler  http.Handler
}

// New makes a console.
func New(o Options) (*Console, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	c := &Console{storage: o.Storage, access: o.Access, reports: o.Reports, log: o.Log, sessions: newSessions(o.Clock), attempts: newAttempts(o.Clock), uploads: newUploads()}
	var err error
	if c.pages, err = readPages(); err != nil {
		return nil, err
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Root+"assets/", cached(http.StripPrefix(Root+"assets", noLists(http.FileServerFS(files)))))
	mux.HandleFunc("GET "+Root+"login", c.loginPage)
	mux.HandleFunc("POST "+Root+"login", c.login)
	mux.HandleFunc("POST "+Root+"logout", c.logout)
	for pattern, p := range map[string]page{
		"GET " + Root + "{$}":                      c.overview,
		"GET " + Root + "upload":                   c.uploadPage,
		"POST " + Root + "upload":                  c.upload,
		"GET " + Root + "reports/{id}":             c.report,
		"GET " + Root + "reports/{id}/raw":         c.rawReport,
		"GET " + Root + "domains":                  c.toDomain,
		"GET " + Root + "domains/{domain}":         c.summary,
		"GET " + Root + "domains/{domain}/sources": c.sources,
	} {
		mux.HandleFunc(pattern, c.known(p))
	}
	mux.HandleFunc(Root, c.known(func(_ http.ResponseWriter, r *http.Request, _ access.Principal) error {
		return fault.New(fault.NotFound, "there is no page %s", r.URL.Path)
	}))
	// Browsers say where a request comes from (Sec-Fetch-Site, Origin). What another site makes a browser send is refused, whatever cookies come with it.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, access.Principal{}, fault.New(fault.Denied, "another site made your browser send this; nothing was done"))
	}))
	c.handler = hardened(guard.Handler(mux))
	return c, nil
}

// ServeHTTP serves a request below Root.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// policyCSP lets a page have our style sheet and pictures, and send forms to us; nothing else.
const policyCSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyCSP)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // no-referrer would make Origin of our own forms null
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // what is seen here must not be seen after logging out
		next.ServeHTTP(w, r)
	})
}

// cached lets browsers keep what is the same for everybody.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=300")
		next.ServeHTTP(w, r)
	})
}

// noLists keeps what there is to itself.
func noLists(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// page answers a request of somebody who is known. An error is shown as a page.
type page func(w http.ResponseWriter, r *http.Request, who access.Principal) error

// known lets only those in who have logged in, and sends others to do so.
func (c *Console) known(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := c.who(r)
		if fault.CodeOf(err) == fault.Unauthenticated {
			to := Root + "login"
			switch {
			case r.Method != http.MethodGet:
				to += "?over=yes"
			case r.URL.Path != Root:
				to += "?" + nextQuery(r.URL)
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		if _, e := url.ParseQuery(r.URL.RawQuery); err == nil && e != nil {
			err = fault.New(fault.Invalid, "what stands behind the question mark in the address cannot be read")
		}
		if err == nil {
			err = p(w, r, who)
		}
		if err != nil {
			c.fail(w, r, who, err)
		}
	}
}

// who asks: the owner of the token that the session was opened with, as it is now.
func (c *Console) who(r *http.Request) (access.Principal, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return access.Principal{}, fault.New(fault.Unauthenticated, "log in first")
	}
	token, ok := c.sessions.Token(cookie.Value)
	if !ok {
		return access.Principal{}, fault.New(fault.Unauthenticated, "the session is over; log in again")
	}
	who, err := c.access.Authenticate(r.Context(), token)
	if fault.CodeOf(err) == fault.Unauthenticated {
		c.sessions.Close(cookie.Value)
	}
	return who, err
}

// domain returns a domain that somebody may see. One outside of the labels is not found, like one that does not exist.
func (c *Console) domain(ctx context.Context, who access.Principal, name string) (inventory.Domain, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ascii, err := inventory.ASCII(name); err == nil {
		name = ascii
	}
	d, err := c.storage.Domain(ctx, name)
	if err != nil && fault.CodeOf(err) != fault.NotFound {
		return d, err
	}
	if err != nil || !who.Sees(d.Labels) {
		return inventory.Domain{}, fault.New(fault.NotFound, "the domain %s is not in the inventory", name).WithHint("domains come from fleet.yaml: postseal apply -f fleet.yaml")
	}
	return d, nil
}
