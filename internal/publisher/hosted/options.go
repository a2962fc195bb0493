package hosted

import (
	"log/slog"
	"net/http"

	"github.com/postseal/postseal/internal/webapi"
)

// Options are what fleet.yaml says about one publisher, and what a test puts in place of the world.
type Options struct {
	Endpoint   string // base URL of the API; "" = the vendor's own
	Credential string // "file:/path", "env:NAME" or "systemd:NAME"; "" only for APIs that want none
	Zone       string // the one zone that is written; "" = any
	ZoneID     string // the vendor's id of Zone, so that it need not be looked up; only together with Zone
	Log        *slog.Logger
	Timing     webapi.Timing
	Transport  http.RoundTripper // nil = one with the proxies of the environment
}

// Client is what the client of the API needs of them.
func (o Options) Client() webapi.Options {
	return webapi.Options{Endpoint: o.Endpoint, Credential: o.Credential, Log: o.Log, Timing: o.Timing, Transport: o.Transport}
}
