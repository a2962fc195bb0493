package mailauth

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"

	"github.com/postseal/postseal/internal/resolver"
)

// SPF is what SPF says of a message.
type SPF struct {
	Result string // as Authentication-Results names it (RFC 8601 §2.7.2); "" = it was not asked
	Reason string // "" for pass, fail, softfail and neutral, which the record says itself
	HELO   bool   // the HELO identity was checked, because MAIL FROM is empty
	Domain string // that was checked, with A-labels; "" when there is none
}

// String is the result with its reason.
func (v SPF) String() string {
	if v.Reason == "" {
		return "spf=" + v.Result
	}
	return "spf=" + v.Result + " reason=" + v.Reason
}

// The reasons of SPF, beside those of DNS.
const (
	spfNoClient   = "no_client_address" // mail that came in without an IP address
	spfNoDomain   = "no_domain"         // the identity is no domain name
	spfNoRecord   = "no_record"         //
	spfMany       = "multiple_records"  // RFC 7208 §4.5
	spfLookups    = "lookup_limit"      // more than ten look-ups, RFC 7208 §4.6.4
	spfVoid       = "void_lookup_limit" // more than two that find nothing
	spfMX         = "too_many_mx"       // more than ten hosts
	spfSyntax     = "record_syntax"     // RFC 7208 §4.6
	ReasonDNS     = "dns_error"         // as package dkim names them
	ReasonTimeout = "dns_timeout"       //
)

// CheckSPF checks the MAIL FROM identity, or HELO where MAIL FROM is empty (RFC 7208 §2.4). A sender without local part is its
// postmaster (§4.3).
func CheckSPF(ctx context.Context, dns Resolver, client netip.Addr, helo, sender string) (v SPF) {
	local, domain := "postmaster", helo
	if v.HELO = sender == ""; !v.HELO {
		at := strings.LastIndexByte(sender, '@')
		if domain = sender[at+1:]; at > 0 {
			local = sender[:at]
		}
	}
	if !client.IsValid() {
		v.Result, v.Reason = "none", spfNoClient
		return v
	}
	ascii, err := resolver.ToASCII(domain)
	if err != nil || !strings.Contains(ascii, ".") || strings.HasPrefix(domain, "[") || strings.ContainsAny(ascii, "*/") {
		v.Result, v.Reason = "none", spfNoDomain
		return v
	}
	v.Domain = ascii
	// The library cuts at the first @, so that a quoted one would have another domain checked than the one that DMARC is told of.
	local = strings.ReplaceAll(local, "@", "_")
	result, err := spf.CheckHostWithSender(net.IP(client.AsSlice()), helo, local+"@"+ascii, spf.WithContext(ctx), spf.WithResolver(spfDNS{dns}),
		spf.OverrideLookupLimit(maxSPFLookups), spf.OverrideVoidLookupLimit(maxSPFVoid))
	v.Result = string(result)
	switch result {
	case spf.Pass, spf.Fail, spf.SoftFail, spf.Neutral:
		if errors.Is(err, spf.ErrNoResult) {
			v.Reason = spfNoRecord
		}
	default:
		v.Reason = spfReason(err)
	}
	return v
}

// spfReason names why there is no result of the record.
func spfReason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, spf.ErrNoResult):
		return spfNoRecord
	case errors.Is(err, spf.ErrMultipleRecords):
		return spfMany
	case errors.Is(err, spf.ErrLookupLimitReached):
		return spfLookups
	case errors.Is(err, spf.ErrVoidLookupLimitReached):
		return spfVoid
	case errors.Is(err, spf.ErrTooManyMXRecords):
		return spfMX
	case errors.As(err, &dns):
		return dnsReason(err)
	}
	return spfSyntax
}

// dnsReason names trouble with DNS.
func dnsReason(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsTimeout || errors.Is(err, context.DeadlineExceeded) {
		return ReasonTimeout
	}
	return ReasonDNS
}

// Limits of SPF (RFC 7208 §4.6.4).
const (
	maxSPFLookups = 10
	maxSPFVoid    = 2
)

// errSPFSyntax makes a record a permanent error.
var errSPFSyntax = errors.New("not a valid SPF record")

// spfDNS shows DNS as the library wants it: errors that are not of DNS would be permanent ones of the record.
type spfDNS struct{ dns Resolver }

func asDNSError(name string, err error) error {
	var dns *net.DNSError
	if err == nil || errors.As(err, &dns) {
		return err
	}
	return &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true, IsTimeout: errors.Is(err, context.DeadlineExceeded)}
}

func (d spfDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	records, err := d.dns.LookupTXT(ctx, name)
	policies := 0
	valid := true
	for _, r := range records {
		if isSPFRecord(r) {
			policies++
			valid = valid && validSPF(r)
		}
	}
	if policies == 1 && !valid { // of several none counts, whatever is in them
		return nil, errSPFSyntax
	}
	return records, asDNSError(name, err)
}

func (d spfDNS) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	list, err := d.dns.LookupMX(ctx, name)
	return list, asDNSError(name, err)
}

func (d spfDNS) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	list, err := d.dns.LookupIPAddr(ctx, host)
	return list, asDNSError(host, err)
}

func (d spfDNS) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	list, err := d.dns.LookupAddr(ctx, addr)
	return list, asDNSError(addr, err)
}
