package rfc2136

import (
	"fmt"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

// act says what was refused.
type act int

const (
	asking   act = iota // a query
	updating            // an update
)

// refusal is the fault that an answer code stands for. what is the record that the message was about: "TXT at name".
func (s *session) refusal(r *dns.Msg, a act, what string) error {
	server, zone := s.p.server, s.zone
	switch {
	case r.Rcode == dns.RcodeRefused && a == asking, r.Rcode == dns.RcodeNotAuth, r.Rcode == dns.RcodeNotZone:
		return fault.New(fault.NotFound, "the server %s does not serve the zone %s (%s)", server, zone, code(r.Rcode)).
			WithHint("check server and zone of the publisher; server must be the primary, and its allow-query must let %s ask", s.who())
	case r.Rcode == dns.RcodeRefused:
		return fault.New(fault.Denied, "the server %s refuses the update of %s by %s: %s", server, zone, s.who(), what).
			WithHint("check that it is the zone's primary, and that its update-policy grants %s; docs/bind.md has all grants that are needed", what)
	case r.Rcode == dns.RcodeNotImplemented:
		return fault.New(fault.Invalid, "the server %s does not take updates for %s", server, zone).
			WithHint("server must be the zone's primary name server, and the zone must be dynamic there")
	case r.Rcode == dns.RcodeFormatError:
		return fault.New(fault.Internal, "the server %s does not understand the message (FORMERR)", server)
	}
	return fault.New(fault.Unavailable, "the server %s answers %s for %s", server, code(r.Rcode), zone).
		WithHint("its log says why")
}

// rejected is the fault when the server did not accept our signature (RFC 8945 §5.2).
func (s *session) rejected(t *dns.TSIG) error {
	server, name := s.p.server, canonical(s.key.name)
	switch t.Error {
	case dns.RcodeBadKey:
		return fault.New(fault.Denied, "the server %s does not know the TSIG key %s (BADKEY)", server, name).
			WithHint("name and algorithm of the key in %s must be the same in the server's configuration", s.p.keyFile)
	case dns.RcodeBadSig:
		return fault.New(fault.Denied, "the server %s has another secret for the TSIG key %s (BADSIG)", server, name).
			WithHint("copy the key file again: %s here and the server's configuration must hold the same secret", s.p.keyFile)
	case dns.RcodeBadTime:
		return fault.New(fault.Unavailable, "the clocks of this machine and of %s differ by more than %d seconds%s (BADTIME)", server, fudge, s.skew(t)).
			WithHint("set both clocks by NTP")
	}
	return fault.New(fault.Denied, "the server %s does not accept the signature with the TSIG key %s (%s)", server, name, code(int(t.Error))).
		WithHint("check the key in %s", s.p.keyFile)
}

// skew reads the server's clock out of its reply (RFC 8945 §5.2.3).
func (s *session) skew(t *dns.TSIG) string {
	seconds, err := strconv.ParseInt(t.OtherData, 16, 64)
	if err != nil {
		return ""
	}
	ahead := s.p.now().Sub(time.Unix(seconds, 0)).Round(time.Minute)
	if ahead < 0 {
		return fmt.Sprintf(": this one is %s behind", -ahead)
	}
	return fmt.Sprintf(": this one is %s ahead", ahead)
}

// who names the one that the server saw.
func (s *session) who() string {
	if s.key.name == "" {
		return "unsigned messages"
	}
	return "the TSIG key " + canonical(s.key.name)
}

func code(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("RCODE%d", rcode)
}
