package audit

import (
	"bufio"
	"fmt"
	"io"
	"net/mail"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/resolver"
)

const (
	// maxMessageHeader is how much of a message's header is read, in octets; Postfix's own limit is a tenth of that.
	maxMessageHeader = 1 << 20
	// maxMessageSignatures is how many signatures of one message are looked at.
	maxMessageSignatures = 50
	// queueTime is how long a message may wait in queues before it is verified (RFC 5321 §4.5.4.1: four to five days).
	queueTime = 5 * 24 * time.Hour
	// clockSkew is how far a signer's clock may be ahead.
	clockSkew = 5 * time.Minute
)

// Signed is one signature of a message: where its key is, and what it shows by itself.
type Signed struct {
	Domain   string
	Selector string
	Below    bool // its identity (i=) is in a domain below Domain
	Findings []Finding
}

// ReadMessage reads the DKIM-Signature fields of a message's header. Nothing is verified; what the signatures show by themselves is judged
// (DKIM-L13 to L19). Fields that cannot be read are passed over and named in unread. Errors are fault.Invalid.
func ReadMessage(r io.Reader, now time.Time) (signed []Signed, unread []string, err error) {
	limited := &io.LimitedReader{R: r, N: maxMessageHeader}
	header, err := textproto.NewReader(bufio.NewReader(limited)).ReadMIMEHeader()
	if err != nil && len(header) == 0 {
		return nil, nil, fault.Wrap(fault.Invalid, err, "this is no mail message").WithHint("save the message with its whole header (\"show original\", .eml)")
	}
	fields := header["Dkim-Signature"]
	if len(fields) > maxMessageSignatures {
		unread = append(unread, fmt.Sprintf("%d further signatures", len(fields)-maxMessageSignatures))
		fields = fields[:maxMessageSignatures]
	}
	for _, field := range fields {
		tags, err := dkim.ParseTagList(field)
		if err != nil {
			unread = append(unread, "a signature that cannot be read: "+shown(field))
			continue
		}
		get := func(name string) (string, bool) {
			for _, t := range tags {
				if t.Name == name {
					return t.Value, true
				}
			}
			return "", false
		}
		s := signature{header: header, get: get, now: now}
		if !s.place() {
			unread = append(unread, "a signature without a usable d= and s=: "+shown(field))
			continue
		}
		s.judge()
		signed = append(signed, s.Signed)
	}
	return signed, unread, nil
}

// signature is one DKIM-Signature field under judgement.
type signature struct {
	Signed
	header textproto.MIMEHeader
	get    func(tag string) (string, bool)
	now    time.Time
}

func (s *signature) place() bool {
	d, _ := s.get("d")
	selector, _ := s.get("s")
	domain, err := resolver.ToASCII(unspaced(d))
	if err != nil || !strings.Contains(domain, ".") {
		return false
	}
	name, err := resolver.ToASCII(inventory.KeyName(unspaced(selector), domain))
	if err != nil || unspaced(selector) == "" {
		return false
	}
	s.Domain, s.Selector = domain, strings.TrimSuffix(name, "._domainkey."+domain)
	return true
}

func (s *signature) add(id string, severity Severity, fix, format string, args ...any) {
	s.Findings = append(s.Findings, Finding{ID: id, Severity: severity, Subject: inventory.KeyName(s.Selector, s.Domain), Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (s *signature) judge() {
	if i, ok := s.get("i"); ok {
		_, below, _ := strings.Cut(strings.ToLower(unspaced(i)), "@")
		s.Below = strings.HasSuffix(strings.TrimSuffix(below, "."), "."+s.Domain)
	}
	made, hasMade := s.time("t")
	ends, hasEnds := s.time("x")
	if hasMade && made.After(s.now.Add(clockSkew)) {
		s.add("DKIM-L13", Error, "set the signer's clock by NTP", "the signature was made at %s, which is still to come: the signer's clock is ahead", made.UTC().Format(time.RFC3339))
	}
	if hasMade && hasEnds && ends.Sub(made) < queueTime {
		s.add("DKIM-L14", Warning, "sign without x=, or with at least 7 days", "the signature counts for %s only; mail can wait longer in queues", ends.Sub(made))
	}
	if _, ok := s.get("l"); ok {
		s.add("DKIM-L15", Error, "sign without l=", "the signature uses l=: others can add text below the signed part, and it still verifies")
	}
	s.fields()
	if a, _ := s.get("a"); strings.EqualFold(unspaced(a), "rsa-sha1") {
		s.add("DKIM-L17", Warning, "sign with rsa-sha256", "the signature uses rsa-sha1, which receivers must not accept (RFC 8301)")
	}
	if author := s.author(); author != "" && !related(author, s.Domain) {
		s.add("DKIM-L18", Warning, "sign with the domain of the From address", "the signature's domain %s has nothing to do with the author's, %s: it does nothing for DMARC", s.Domain, author)
	}
	if c, ok := s.get("c"); !ok || strings.Contains(strings.ToLower(c), "simple") {
		s.add("DKIM-L19", Info, "sign with c=relaxed/relaxed", "the signature is simple (c=%s): a relay that folds a line anew breaks it", unspaced(c))
	}
}

// fields looks at which header fields are signed.
func (s *signature) fields() {
	h, _ := s.get("h")
	signed := items(strings.ToLower(h))
	var open []string
	for _, name := range []string{"From", "Reply-To", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post"} {
		if len(s.header[textproto.CanonicalMIMEHeaderKey(name)]) > 0 && !slices.Contains(signed, strings.ToLower(name)) {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		s.add("DKIM-L16", Warning, "add them to the fields that are signed", "these fields are not signed, so others can change them: %s", strings.Join(open, ", "))
	}
}

// time reads a tag with seconds since 1970.
func (s *signature) time(tag string) (time.Time, bool) {
	v, ok := s.get(tag)
	n, err := strconv.ParseInt(unspaced(v), 10, 64)
	if !ok || err != nil || n < 0 {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// author is the domain of the only author, "" when there is none or more.
func (s *signature) author() string {
	list, err := mail.ParseAddressList(strings.Join(s.header["From"], ", "))
	if err != nil || len(list) != 1 {
		return ""
	}
	_, domain, _ := strings.Cut(list[0].Address, "@")
	ascii, err := resolver.ToASCII(domain)
	if err != nil {
		return ""
	}
	return ascii
}

// related reports whether two domains belong to one registered name.
func related(a, b string) bool {
	one, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return a == b
	}
	two, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && one == two
}
