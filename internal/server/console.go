package server

import (
	"context"
	"net/http"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/store"
	"github.com/postseal/postseal/internal/web"
)

// webStorage is the store in the console's words.
type webStorage struct{ heard }

func (s webStorage) Domains(ctx context.Context, f web.DomainFilter) ([]inventory.Domain, error) {
	return s.Store.Domains(ctx, store.DomainFilter{After: f.After, Limit: f.Limit, Labels: f.Labels})
}

// Console is where the console is found, as a URL.
func (s *Server) Console() string { return s.URL() + web.Root }

// withConsole serves the console beside the API: one listener, one certificate.
func (s *Server) withConsole(api http.Handler) (http.Handler, error) {
	console, err := web.New(web.Options{Storage: webStorage{s.heard()}, Access: s.access, Reports: s.reporting, Log: s.config.Logger})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(web.Root, console)
	mux.Handle("/", api)
	return mux, nil
}
