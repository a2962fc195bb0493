package client

import (
	"context"
	"net/url"
	"time"
)

// Postmaster is what Google Postmaster Tools say of a domain and the names below it, beside the reports of google.com.
type Postmaster struct {
	Domain        string                   `json:"domain"`
	Since         time.Time                `json:"since"`
	Until         time.Time                `json:"until"`
	On            bool                     `json:"on" doc:"the control plane has an account to ask with"`
	Account       PostmasterAsked          `json:"account" doc:"what became of asking for the account's domains"`
	Domains       []PostmasterAsked        `json:"domains" doc:"those that the account has of this domain"`
	Days          []PostmasterDay          `json:"days" doc:"by domain and day; one with little mail has no figures"`
	Disagreements []PostmasterDisagreement `json:"disagreements" doc:"by day"`
}

// PostmasterAsked is what became of asking.
type PostmasterAsked struct {
	Domain  string    `json:"domain,omitempty"`
	Asked   time.Time `json:"asked,omitzero" doc:"the last time; missing = never"`
	Problem string    `json:"problem,omitempty" doc:"why there are no new figures"`
	Hint    string    `json:"hint,omitempty"`
}

// PostmasterDay is what Gmail saw on one day. Shares are between 0 and 1; one that Google does not tell is missing, which may also be 0.
type PostmasterDay struct {
	Domain     string              `json:"domain"`
	Day        time.Time           `json:"day"`
	DKIM       *float64            `json:"dkim,omitempty" doc:"of the mail that was signed, spoofed mail left out"`
	SPF        *float64            `json:"spf,omitempty" doc:"of the mail that tried SPF, spoofed mail left out"`
	DMARC      *float64            `json:"dmarc,omitempty" doc:"of the mail that passed DKIM or SPF"`
	Spam       *float64            `json:"spam,omitempty" doc:"of the mail in inboxes that passed DKIM, what people called spam"`
	Reputation string              `json:"reputation,omitempty" doc:"HIGH, MEDIUM, LOW or BAD"`
	Errors     []PostmasterError   `json:"errors" doc:"the largest first"`
	Fetched    time.Time           `json:"fetched"`
	Reports    *PostmasterReported `json:"reports,omitempty" doc:"what google.com reports of the same day; missing = nothing"`
}

// PostmasterError is a share of authenticated mail that was refused or put off.
type PostmasterError struct {
	Class string  `json:"class" doc:"PERMANENT_ERROR or TEMPORARY_ERROR"`
	Type  string  `json:"type"`
	Share float64 `json:"share"`
}

// PostmasterReported are the messages that google.com reports of the same domain and day.
type PostmasterReported struct {
	Messages int64 `json:"messages"`
	Signed   int64 `json:"signed" doc:"signed in the name of this domain, or one below it"`
	DKIM     int64 `json:"dkim" doc:"of those, what passed, aligned or not"`
	DMARC    int64 `json:"dmarc" doc:"of all messages, what passed DMARC"`
}

// PostmasterDisagreement is one figure in which both differ by more than chance.
type PostmasterDisagreement struct {
	Domain  string    `json:"domain"`
	Day     time.Time `json:"day"`
	What    string    `json:"what" doc:"dkim or dmarc; no_report, no_figures: one side does not know of the day"`
	Message string    `json:"message"`
}

// ReportPostmaster returns what Google Postmaster Tools say of a domain.
func (c *Client) ReportPostmaster(ctx context.Context, domain string, since, until time.Time) (Postmaster, error) {
	v := url.Values{}
	set(v, map[string]string{"since": stamp(since), "until": stamp(until)})
	var out Postmaster
	return out, c.get(ctx, place("domains", domain, "reports", "postmaster"), v, &out)
}
