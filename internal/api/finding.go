package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

type findingsInput struct {
	Domain   string `query:"domain" maxLength:"255" doc:"only this domain"`
	ID       string `query:"id" maxLength:"32" doc:"only findings with this id"`
	Severity string `query:"severity" enum:"error,warning,info" doc:"only these"`
	Muted    bool   `query:"muted" doc:"the muted ones; else those that are not"`
	After    string `query:"after" maxLength:"2048" doc:"next of the page before"`
	Limit    int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

type eventsInput struct {
	Domain string `query:"domain" maxLength:"255" doc:"only this domain"`
	ID     string `query:"id" maxLength:"32" doc:"only findings with this id"`
	Before string `query:"before" maxLength:"512" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

type muteInput struct{ Body client.Mute }

func (a *API) findingRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/findings", id: "findings", summary: "Open findings", role: access.Viewer, what: "read"}, a.findings)
	register(a, h, op{method: http.MethodGet, path: "/findings/history", id: "finding-history", summary: "What changed about findings, newest first", role: access.Viewer, what: "read"}, a.findingHistory)
	register(a, h, op{method: http.MethodPost, path: "/findings/mute", id: "mute", summary: "Keep a finding out of lists for a time", role: access.Operator, what: "mute findings"},
		func(ctx context.Context, who access.Principal, in *muteInput) (client.Done, error) {
			m, err := a.mute(ctx, who, in.Body)
			switch {
			case err != nil:
			case strings.TrimSpace(m.Reason) == "":
				err = fault.New(fault.Invalid, "a reason is needed")
			case m.Until.IsZero():
				err = fault.New(fault.Invalid, "it must be said until when")
			default:
				err = a.storage.Mute(ctx, m)
			}
			return done(err)
		})
	register(a, h, op{method: http.MethodPost, path: "/findings/unmute", id: "unmute", summary: "Show a muted finding again", role: access.Operator, what: "unmute findings"},
		func(ctx context.Context, who access.Principal, in *muteInput) (client.Done, error) {
			m, err := a.mute(ctx, who, in.Body)
			if err == nil {
				err = a.storage.Unmute(ctx, m)
			}
			return done(err)
		})
}

func (a *API) mute(ctx context.Context, who access.Principal, in client.Mute) (audit.Mute, error) {
	d, err := a.domain(ctx, who, in.Domain)
	return audit.Mute{Domain: d.Name, ID: strings.ToUpper(in.ID), Subject: in.Subject, By: who.Name, Reason: in.Reason, Until: in.Until}, err
}

func (a *API) findings(ctx context.Context, who access.Principal, in *findingsInput) (client.Findings, error) {
	after, err := readCursor(in.After, 3)
	if err != nil {
		return client.Findings{}, err
	}
	f := audit.FindingFilter{ID: in.ID, Severity: in.Severity, Muted: in.Muted, After: after, Limit: pageInput{Limit: in.Limit}.limit(), Labels: who.Labels}
	if in.Domain != "" {
		d, err := a.domain(ctx, who, in.Domain)
		if err != nil {
			return client.Findings{}, err
		}
		f.Domain = d.Name
	}
	open, err := a.storage.Findings(ctx, f)
	out := client.Findings{Findings: convert(open, openOut)}
	if n := len(open); n >= f.Limit {
		out.Next = cursor(open[n-1].Domain, open[n-1].ID, open[n-1].Subject)
	}
	return out, err
}

func (a *API) findingHistory(ctx context.Context, who access.Principal, in *eventsInput) (client.FindingEvents, error) {
	f := audit.EventFilter{ID: in.ID, Limit: pageInput{Limit: in.Limit}.limit(), Labels: who.Labels}
	before, err := readCursor(in.Before, 3)
	if err == nil && before != nil {
		var at int64
		at, err = strconv.ParseInt(before[0], 10, 64)
		f.Before.At, f.Before.Domain = time.UnixMicro(at).UTC(), before[1]
		if err == nil {
			f.Before.Ord, err = strconv.ParseInt(before[2], 10, 64)
		}
		if err != nil {
			err = errCursor()
		}
	}
	if err != nil {
		return client.FindingEvents{}, err
	}
	if in.Domain != "" {
		d, err := a.domain(ctx, who, in.Domain)
		if err != nil {
			return client.FindingEvents{}, err
		}
		f.Domain = d.Name
	}
	events, err := a.storage.FindingEvents(ctx, f)
	out := client.FindingEvents{Events: convert(events, func(e audit.FindingEvent) client.FindingEvent {
		return client.FindingEvent{At: e.At, Domain: e.Domain, Change: string(e.Change), ID: e.ID, Severity: string(e.Severity), Subject: e.Subject, Message: e.Message}
	})}
	if n := len(events); n >= f.Limit {
		last := events[n-1]
		out.Next = cursor(strconv.FormatInt(last.At.UnixMicro(), 10), last.Domain, strconv.FormatInt(last.Ord, 10))
	}
	return out, err
}

func openOut(o audit.OpenFinding) client.Finding {
	f := client.Finding{
		ID: o.ID, Severity: string(o.Severity), Domain: o.Domain, Subject: o.Subject, Message: o.Message, Fix: o.Fix, Since: o.Since, Last: o.Last, Times: o.Times,
	}
	for _, s := range o.Seen {
		f.Seen = append(f.Seen, client.FindingSeen(s))
	}
	for _, m := range o.Mend {
		f.Mend = append(f.Mend, client.FindingMend(m))
	}
	if m := o.Muted; !m.Until.IsZero() {
		f.Muted = &client.FindingMute{By: m.By, Reason: m.Reason, At: m.At, Until: m.Until}
	}
	return f
}

// cursorSeparator cannot be in a name or a number.
const cursorSeparator = "\n"

// cursor names the last one of a page, for the page after it.
func cursor(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, cursorSeparator)))
}

func readCursor(text string, n int) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.SplitN(string(raw), cursorSeparator, n)
	if err != nil || len(parts) != n {
		return nil, errCursor()
	}
	return parts, nil
}

func errCursor() error {
	return fault.New(fault.Invalid, "that is no place in a list").WithHint("take it from next of the page before")
}
