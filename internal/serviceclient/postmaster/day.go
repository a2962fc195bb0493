package postmaster

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// compact is how the API writes dates.
	compact = "20060102"
	// maxErrors is how many kinds of delivery errors a day can have; the API knows twenty.
	maxErrors = 100
	// maxWord is the length of a word of the API.
	maxWord = 64
)

// Day is what Gmail saw of a domain's mail on one day. A share is between 0 and 1; nil = Google does not say, which may also be 0: the JSON of protocol buffers leaves
// that out.
type Day struct {
	Domain string
	Date   time.Time // midnight, UTC. Google does not document where its days begin, so that they may not be those of its reports
	// DKIM and SPF are of the mail that tried them, spoofed mail left out; DMARC is of the mail that passed one of the two.
	DKIM, SPF, DMARC *float64
	// Spam is the share of the mail in the inbox that people called spam; only of mail that passed DKIM.
	Spam *float64
	// Reputation is HIGH, MEDIUM, LOW or BAD; "" = Google does not say.
	Reputation string
	// Errors are the shares of authenticated mail that was refused (PERMANENT_ERROR) or put off (TEMPORARY_ERROR), the largest first.
	Errors []DeliveryError
	// Fetched is when it was asked for, of a day that was stored; the API does not give it.
	Fetched time.Time
}

// DeliveryError is one kind of refusal.
type DeliveryError struct {
	Class string // PERMANENT_ERROR, TEMPORARY_ERROR
	Type  string // BAD_DMARC_POLICY, SUSPECTED_SPAM, RATE_LIMIT_EXCEEDED, …
	Ratio float64
}

// odd is the error about something that the API cannot mean.
func odd(domain, format string, args ...any) error {
	return fault.New(fault.Unavailable, vendor+" says something of "+domain+" that cannot be: "+format, args...).
		WithHint("nothing of it is kept; if this goes on, Google's API has changed")
}

// sorted puts the largest errors first.
func (d Day) sorted() {
	slices.SortFunc(d.Errors, func(a, b DeliveryError) int {
		return cmp.Or(cmp.Compare(b.Ratio, a.Ratio), strings.Compare(a.Class, b.Class), strings.Compare(a.Type, b.Type))
	})
}

func isShare(v float64) bool { return v >= 0 && v <= 1 }

// word keeps a word of the API's lists, also one of a later time; what is none becomes "UNKNOWN".
func word(text string) string {
	if text != "" && (len(text) > maxWord || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "") {
		return "UNKNOWN"
	}
	return text
}

// dateOf is midnight of a time's day, UTC.
func dateOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}
