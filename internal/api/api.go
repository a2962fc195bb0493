package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/report"
)

const (
	// maxBody of an ordinary request: names, reasons and times.
	maxBody = 64 << 10
	// maxFleetBody of a fleet document: 10,000 domains with five signers each. Larger fleets use NDJSON import.
	maxFleetBody = 32 << 20
	// bodyTime is how long a body may take to arrive.
	bodyTime = time.Minute
	// fleetTime is the same for a fleet document. The deadline goes on while the request is worked on, and a large fleet takes
	// a while to store.
	fleetTime = 10 * time.Minute
)

// Options are the parts of an API.
type Options struct {
	Storage Storage
	Access  Access
	Joining Joining // join tokens
	Agents  Agents  // the agents' transport
	// Looker looks at DNS for people who check a ticket; nil = that is not possible.
	Looker Looker
	// Reports are what receivers report; nil = none are taken.
	Reports Reports
	// Probes asks for probes; nil = that is not possible.
	Probes Probing
	// Tickets brings the tickets up to date before they are shown; nil = somebody else does, in time.
	Tickets Tender
	Log     *slog.Logger
	// Changed is called after an act that may have made work due or instructions new; nil = nobody wants to know.
	Changed func()
	// Version of the software, for people.
	Version string
}

// API answers HTTP requests. It is safe for concurrent use.
type API struct {
	storage Storage
	access  Access
	joining Joining
	agents  Agents
	looker  Looker
	reports Reports
	probing Probing
	tickets Tender
	log     *slog.Logger
	changed func()
	version string
	handler http.Handler
	spec    []byte
	joins   chan struct{} // bounds joins at work
}

// New assembles the API.
func New(o Options) (*API, error) {
	a := &API{
		storage: o.Storage, access: o.Access, joining: o.Joining, agents: o.Agents, looker: o.Looker, reports: o.Reports, probing: o.Probes, tickets: o.Tickets, log: o.Log, changed: o.Changed, version: o.Version,
		joins: make(chan struct{}, maxJoins),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.changed == nil {
		a.changed = func() {}
	}
	if a.version == "" {
		a.version = "devel"
	}
	mux := http.NewServeMux()
	if err := a.describe(mux); err != nil {
		return nil, err
	}
	root := http.NewServeMux()
	root.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(a.spec)
	})
	root.HandleFunc("GET /healthz", a.health)
	root.HandleFunc("GET /readyz", a.ready)
	root.Handle("/v1/", a.authenticate(withoutBareErrors(mux)))
	root.Handle("/agent/v1/", a.agentHandler())
	root.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeFault(w, errNoPlace(r)) })
	a.handler = headers(root)
	return a, nil
}

// ServeHTTP answers /v1/ (people and programs, by bearer token), /agent/v1/ (agents, by client certificate),
// /openapi.json, /healthz and /readyz. The server that it is mounted in needs TLS, a ReadHeaderTimeout, and no
// WriteTimeout below agentapi.MaxWait.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// describe registers every operation and writes the OpenAPI description down.
func (a *API) describe(mux *http.ServeMux) error {
	config := huma.DefaultConfig("Postseal", a.version)
	config.Info.Description = "The control plane of Postseal. Errors are {code, message, hint}."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // served by us, once written; no scripts from elsewhere
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{ownErrors}
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	h := humago.New(mux, config)
	a.statusRoutes(h)
	a.planRoutes(h)
	a.domainRoutes(h)
	a.serviceRoutes(h)
	a.dmarcRoutes(h)
	a.serverRoutes(h)
	a.keyRoutes(h)
	a.recordRoutes(h)
	a.ticketRoutes(h)
	a.probeRoutes(h)
	a.controlRoutes(h)
	a.journalRoutes(h)
	a.findingRoutes(h)
	a.auditRoutes(h)
	a.reportRoutes(h)
	a.tokenRoutes(h)
	a.userRoutes(h)
	delete(h.OpenAPI().Components.Schemas.Map(), "ErrorModel") // never sent, see ownErrors
	delete(h.OpenAPI().Components.Schemas.Map(), "ErrorDetail")
	var err error
	a.spec, err = json.Marshal(h.OpenAPI())
	return err
}

// op is one operation.
type op struct {
	method, path, id, summary string
	role                      access.Role
	what                      string // what one may (not) do: "rotate keys"
	maxBody                   int64  // 0 = maxBody
	everything                bool   // concerns the whole installation: not for users limited to labels
}

// answer wraps a body for huma.
type answer[T any] struct{ Body T }

// none is the input of an operation without parameters.
type none struct{}

// register adds an operation: the role is checked before, faults become answers after.
func register[I, O any](a *API, h huma.API, o op, handle func(ctx context.Context, who access.Principal, in *I) (O, error)) {
	operation := huma.Operation{
		OperationID: o.id, Method: o.method, Path: "/v1" + o.path, Summary: o.summary,
		Tags:            []string{strings.Split(strings.TrimPrefix(o.path, "/"), "/")[0]},
		Description:     "Needs the role " + string(o.role) + ".",
		Security:        []map[string][]string{{"token": {}}},
		MaxBodyBytes:    o.maxBody,
		BodyReadTimeout: bodyTime,
		Responses: map[string]*huma.Response{"default": {
			Description: "Error",
			Content: map[string]*huma.MediaType{"application/json": {
				Schema: h.OpenAPI().Components.Schemas.Schema(typeOfError, true, "Error"),
			}},
		}},
	}
	switch operation.MaxBodyBytes {
	case 0:
		operation.MaxBodyBytes = maxBody
	case maxFleetBody, report.MaxInput:
		operation.BodyReadTimeout = fleetTime
	}
	huma.Register(h, operation, func(ctx context.Context, in *I) (*answer[O], error) {
		who, err := principal(ctx)
		if err == nil {
			err = who.Need(o.role, o.what)
		}
		if err == nil && o.everything {
			err = who.SeesAll(o.what)
		}
		var body O
		if err == nil {
			body, err = handle(ctx, who, in)
		}
		if err != nil {
			return nil, a.failure(ctx, o.id, err)
		}
		if o.role != access.Viewer {
			a.changed()
		}
		return &answer[O]{Body: body}, nil
	})
}

// done is the answer of an act that has nothing else to say.
func done(err error) (client.Done, error) { return client.Done{OK: err == nil}, err }

// convert maps a list, never to nil.
func convert[S, T any](s []S, f func(S) T) []T {
	out := make([]T, 0, len(s))
	for _, x := range s {
		out = append(out, f(x))
	}
	return slices.Clip(out)
}

func (a *API) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, client.Done{OK: true})
}

func (a *API) ready(w http.ResponseWriter, r *http.Request) {
	if _, err := a.storage.Now(r.Context()); err != nil {
		a.log.WarnContext(r.Context(), "not ready", "error", err)
		writeJSON(w, http.StatusServiceUnavailable, client.Done{})
		return
	}
	writeJSON(w, http.StatusOK, client.Done{OK: true})
}

// headers are the same for every answer: nothing here is for a browser to keep, sniff or frame.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
