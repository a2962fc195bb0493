package probe

import (
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
)

// Mail is what the intake saw of a message to a probe's address. Every text in it is a stranger's.
type Mail struct {
	At   time.Time `json:"at"`             // received
	Peer string    `json:"peer,omitempty"` // address of the client; "" = not known (IMAP)
	HELO string    `json:"helo,omitempty"`
	// EnvelopeFrom is the reverse-path, without brackets; "" = none.
	EnvelopeFrom string `json:"envelope_from,omitempty"`
	// From is the domain of the author in A-labels; "" = there is not exactly one.
	From       string      `json:"from"`
	Subject    string      `json:"subject,omitempty"`
	Hops       int         `json:"hops"` // Received fields, our own not counted
	Signatures []Signature `json:"signatures"`
	SPF        SPF         `json:"spf"`
	DMARC      DMARC       `json:"dmarc"`
}

// Signature is one DKIM-Signature field and what became of it.
type Signature struct {
	Domain    string          `json:"domain"` // d=, lower case
	Selector  string          `json:"selector"`
	Algorithm string          `json:"algorithm,omitempty"`
	Result    dkim.ResultWord `json:"result"`
	Reason    dkim.Reason     `json:"reason,omitempty"` // "" for pass
	Aligned   bool            `json:"aligned"`          // d= fits the author's domain
}

// SPF is the result for the envelope (RFC 7208), in the words of Authentication-Results; "" = it was not looked at.
type SPF struct {
	Result  string `json:"result,omitempty"`
	Domain  string `json:"domain,omitempty"`
	Aligned bool   `json:"aligned,omitempty"`
}

// DMARC is the result for the author's domain; "" = it was not looked at, "none" = there is no policy.
type DMARC struct {
	Result string `json:"result,omitempty"`
	Policy string `json:"policy,omitempty"`
}

// Limits of what is kept of a mail: nothing in an honest one comes near.
const (
	maxSignatures = 16
	maxText       = 320 // octets of one text: an address (RFC 5321 §4.5.3.1)
)

// bounded is a mail as it is kept.
func (m Mail) bounded() Mail {
	for _, s := range []*string{&m.Peer, &m.HELO, &m.EnvelopeFrom, &m.From, &m.Subject, &m.SPF.Result, &m.SPF.Domain, &m.DMARC.Result, &m.DMARC.Policy} {
		*s = cut(*s)
	}
	m.From = strings.ToLower(m.From)
	m.Signatures = slices.Clone(m.Signatures[:min(len(m.Signatures), maxSignatures)])
	for i := range m.Signatures {
		s := &m.Signatures[i]
		s.Domain, s.Selector, s.Algorithm = strings.ToLower(cut(s.Domain)), strings.ToLower(cut(s.Selector)), cut(s.Algorithm)
		s.Result, s.Reason = dkim.ResultWord(cut(string(s.Result))), dkim.Reason(cut(string(s.Reason)))
	}
	return m
}

// cut makes a stranger's text one short line.
func cut(s string) string { return cutAt(s, maxText) }

func cutAt(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
