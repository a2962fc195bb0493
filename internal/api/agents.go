package api

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxJoinBody of a join or renewal: a token and a certificate request.
	maxJoinBody = 32 << 10
	// maxPollBody of a poll: three numbers.
	maxPollBody = 4 << 10
	// maxJoins at work at a time: they come from strangers and cost a signature check.
	maxJoins = 16
)

// Agents is the control plane's side of the agents; the fleet has it.
type Agents interface {
	// Identify returns the server whose agent presents this chain; fault.Unauthenticated.
	Identify(ctx context.Context, chain []*x509.Certificate) (serverID string, err error)
	Join(ctx context.Context, r agentapi.JoinRequest, peer netip.Addr) (agentapi.JoinResponse, error)
	Renew(ctx context.Context, serverID string, r agentapi.RenewRequest) (agentapi.RenewResponse, error)
	Poll(ctx context.Context, serverID string, r agentapi.PollRequest) (agentapi.Instructions, error)
	Report(ctx context.Context, serverID string, r agentapi.Report) (agentapi.ReportResponse, error)
}

// agentHandler is the contract of agentapi as JSON over HTTPS: POST /agent/v1/{join,renew,poll,report}. All but join
// need a client certificate, and the server is taken from there and from nothing in the message.
func (a *API) agentHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agent/v1/join", func(w http.ResponseWriter, r *http.Request) {
		select {
		case a.joins <- struct{}{}:
			defer func() { <-a.joins }()
		default:
			writeFault(w, fault.New(fault.Unavailable, "too many joins at the same time").WithHint("try again in a minute"))
			return
		}
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			a.agentFailed(w, r, fault.Wrap(fault.Internal, err, "the peer's address %q cannot be read", r.RemoteAddr))
			return
		}
		exchange(a, w, r, maxJoinBody, func(ctx context.Context, in agentapi.JoinRequest) (agentapi.JoinResponse, error) {
			return a.agents.Join(ctx, in, peer.Addr().Unmap())
		})
	})
	mux.HandleFunc("POST /agent/v1/renew", known(a, maxJoinBody, a.agents.Renew))
	mux.HandleFunc("POST /agent/v1/poll", known(a, maxPollBody, a.agents.Poll))
	mux.HandleFunc("POST /agent/v1/report", known(a, agentapi.MaxMessage, a.agents.Report))
	return withoutBareErrors(mux)
}

// known serves a call of an agent that has an identity.
func known[I, O any](a *API, limit int64, call func(ctx context.Context, serverID string, in I) (O, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var chain []*x509.Certificate
		if r.TLS != nil {
			chain = r.TLS.PeerCertificates
		}
		server, err := a.agents.Identify(r.Context(), chain)
		if err != nil {
			a.agentFailed(w, r, err)
			return
		}
		exchange(a, w, r, limit, func(ctx context.Context, in I) (O, error) { return call(ctx, server, in) })
	}
}

// exchange reads one message, makes the call, and writes what came of it.
func exchange[I, O any](a *API, w http.ResponseWriter, r *http.Request, limit int64, call func(context.Context, I) (O, error)) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTime)) // not supported by a test's recorder: then there is none
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			err = fault.Wrap(fault.Invalid, err, "the message has more than %d octets", limit)
		} else {
			err = fault.Wrap(fault.Unavailable, err, "the message did not arrive whole")
		}
		a.agentFailed(w, r, err)
		return
	}
	// A long poll outlasts every deadline of the listener; its own is agentapi.MaxWait.
	control.SetReadDeadline(time.Time{})
	control.SetWriteDeadline(time.Time{})
	var in I
	if err := json.Unmarshal(raw, &in); err != nil {
		a.agentFailed(w, r, fault.Wrap(fault.Invalid, err, "the message does not parse: %s", plain(err)))
		return
	}
	out, err := call(r.Context(), in)
	if err != nil {
		a.agentFailed(w, r, err)
		return
	}
	control.SetWriteDeadline(time.Now().Add(bodyTime))
	writeJSON(w, http.StatusOK, out)
}

func (a *API) agentFailed(w http.ResponseWriter, r *http.Request, err error) {
	writeFault(w, a.failure(r.Context(), r.URL.Path, err))
}
