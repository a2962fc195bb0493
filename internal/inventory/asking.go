package inventory

import (
	"cmp"
	"time"
)

// How people are asked to change a zone (publishers of kind manual).
const (
	// DefaultRemindEvery gives somebody who was away a day to come back.
	DefaultRemindEvery = 2 * 24 * time.Hour
	// DefaultExpiresAfter is two weeks: a holiday, and well within the time that a key may take to be replaced.
	DefaultExpiresAfter = 14 * 24 * time.Hour
	// minRemindEvery keeps reminders from filling the journal; who wants to hear more often asks for the list.
	minRemindEvery = time.Hour
	// minExpiresAfter: nobody changes a zone by hand more reliably than from one day to the next.
	minExpiresAfter = 24 * time.Hour
	// maxTicketTime is a year; a change that may wait longer is not wanted.
	maxTicketTime = 365 * 24 * time.Hour
)

// The DNS hosts whose consoles the click steps of a ticket are written for.
const (
	HostGeneric    = "generic" // any other: what most forms have in common
	HostCloudflare = "cloudflare"
	HostGoDaddy    = "godaddy"
	HostIONOS      = "ionos"
	HostNamecheap  = "namecheap"
	HostOVH        = "ovh"
	HostRoute53    = "route53"
	HostStrato     = "strato"
)

// DNSHosts lists them, sorted.
func DNSHosts() []string {
	return []string{HostCloudflare, HostGeneric, HostGoDaddy, HostIONOS, HostNamecheap, HostOVH, HostRoute53, HostStrato}
}

// Console is the host whose console the zone's owner works with.
func (p Publisher) Console() string { return cmp.Or(p.Host, HostGeneric) }

// Reminding is how often an open ticket comes up again.
func (p Publisher) Reminding() time.Duration { return cmp.Or(p.RemindEvery, DefaultRemindEvery) }

// Expiring is how long a change may wait before its ticket counts as expired.
func (p Publisher) Expiring() time.Duration { return cmp.Or(p.ExpiresAfter, DefaultExpiresAfter) }

// AsksAs reports whether two publishers ask for the same in the same way: whom the texts are addressed to, how often they are reminded, and how the steps
// are written, is no part of that. It is one publisher with one ticket, whoever reads it.
func (p Publisher) AsksAs(q Publisher) bool {
	p.Contact, p.Host, p.RemindEvery, p.ExpiresAfter = q.Contact, q.Host, q.RemindEvery, q.ExpiresAfter
	return p == q
}
