package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// Finding is one result of an audit or of the planner.
type Finding struct {
	ID       string `json:"id"`
	Severity string `json:"severity" doc:"error, warning or info"`
	Domain   string `json:"domain"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
	Fix      string `json:"fix,omitempty"`
	// Seen is who answered what, and Mend the records that mend it, where they are known.
	Seen []FindingSeen `json:"seen,omitempty"`
	Mend []FindingMend `json:"mend,omitempty"`
	// Since is when it was found first, Last when it was found last, and Times how often; 1 = it is new.
	Since time.Time    `json:"since,omitzero"`
	Last  time.Time    `json:"last,omitzero"`
	Times int          `json:"times,omitempty"`
	Muted *FindingMute `json:"muted,omitempty"`
}

// FindingSeen is what one server answered.
type FindingSeen struct {
	Server string `json:"server"`
	Answer string `json:"answer"`
}

// FindingMend is a change of one record set that mends a finding.
type FindingMend struct {
	Remove bool   `json:"remove,omitempty" doc:"take this value away instead of publishing it"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

// FindingMute says who muted a finding, why, and until when.
type FindingMute struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
}

// Findings is a page of open findings, by domain, id and subject.
type Findings struct {
	Findings []Finding `json:"findings"`
	Next     string    `json:"next,omitempty"`
}

// FindingQuery selects open findings.
type FindingQuery struct {
	Domain   string
	ID       string
	Severity string
	Muted    bool // the muted ones; else those that are not
}

// Findings walks over all pages of open findings.
func (c *Client) Findings(ctx context.Context, q FindingQuery) iter.Seq2[Findings, error] {
	return pages(func(after string) (Findings, string, error) {
		v := page(after, 0)
		set(v, map[string]string{"domain": q.Domain, "id": q.ID, "severity": q.Severity})
		if q.Muted {
			v.Set("muted", "true")
		}
		var out Findings
		err := c.get(ctx, place("findings"), v, &out)
		return out, out.Next, err
	})
}

// set adds the values that are not empty.
func set(v url.Values, values map[string]string) {
	for name, value := range values {
		if value != "" {
			v.Set(name, value)
		}
	}
}

// FindingEvent is one change of a finding.
type FindingEvent struct {
	At       time.Time `json:"at"`
	Domain   string    `json:"domain"`
	Change   string    `json:"change" doc:"new, graver, milder or resolved"`
	ID       string    `json:"id"`
	Severity string    `json:"severity"`
	Subject  string    `json:"subject"`
	Message  string    `json:"message"`
}

// FindingEvents is a page of changes, newest first.
type FindingEvents struct {
	Events []FindingEvent `json:"events"`
	Next   string         `json:"next,omitempty" doc:"before, for the page after this one"`
}

// EventQuery selects changes of findings.
type EventQuery struct {
	Domain string
	ID     string
	Before string // FindingEvents.Next of the page before
	Limit  int    // 0 = 100
}

// FindingHistory returns a page of what changed about findings, newest first.
func (c *Client) FindingHistory(ctx context.Context, q EventQuery) (FindingEvents, error) {
	v := url.Values{}
	set(v, map[string]string{"domain": q.Domain, "id": q.ID, "before": q.Before})
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out FindingEvents
	return out, c.get(ctx, place("findings", "history"), v, &out)
}

// Mute names a finding to mute, or to show again.
type Mute struct {
	Domain  string    `json:"domain" maxLength:"255" minLength:"1"`
	ID      string    `json:"id" maxLength:"32" minLength:"1"`
	Subject string    `json:"subject,omitempty" maxLength:"512" doc:"empty = every subject"`
	Reason  string    `json:"reason,omitempty" maxLength:"500"`
	Until   time.Time `json:"until,omitzero" doc:"needed to mute; 366 days from now at most"`
}

// MuteFinding keeps a finding out of lists for a time. It changes no score.
func (c *Client) MuteFinding(ctx context.Context, m Mute) error {
	return c.post(ctx, place("findings", "mute"), m, nil)
}

// UnmuteFinding shows a finding again.
func (c *Client) UnmuteFinding(ctx context.Context, m Mute) error {
	return c.post(ctx, place("findings", "unmute"), m, nil)
}
