package fleet

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
)

const (
	// RefusalFinding is the id of the finding that receivers refuse a domain's mail.
	RefusalFinding = "RCV-01"
	// RefusalQuiet is how long after the last refusal the finding ends: most mail servers send something to every large receiver each day.
	RefusalQuiet = 24 * time.Hour

	// Hours that a report may speak of: an agent keeps a week, and its clock may be wrong.
	maxRefusalAge   = 8 * 24 * time.Hour
	maxRefusalAhead = time.Hour

	maxDomainBytes = 253
)

// Refused is what one receiver refused of one domain from one server with one code, without a longer pause in between.
type Refused struct {
	Domain    string // as the agent says it, "" = not known; of a finding the domain of the inventory
	Receiver  string
	Code      string
	Cause     string // agentapi.Refusal
	Permanent bool   // at least one message was given back
	Messages  uint64 // different ones in each hour
	First     time.Time
	Last      time.Time
	Text      string // a sample of what the receiver says
}

// Severity is that of the finding: mail that comes back fails, mail that is tried again may still arrive.
func (r Refused) Severity() string {
	if r.Permanent {
		return "error"
	}
	return "warning"
}

// Subject names the finding within its domain.
func (r Refused) Subject(server string) string {
	return fmt.Sprintf("%s to %s: %s", server, r.Receiver, r.Code)
}

// Message says what was seen.
func (r Refused) Message(server string) string {
	verb, n := "refuses", fmt.Sprintf("%d messages", r.Messages)
	if r.Messages == 1 {
		n = "1 message"
	}
	if !r.Permanent {
		verb = "defers"
	}
	return fmt.Sprintf("%s %s mail of %s from %s: %s since %s, last at %s: %s %s", r.Receiver, verb, r.Domain, server, n,
		r.First.UTC().Format("2006-01-02 15:04 MST"), r.Last.UTC().Format("2006-01-02 15:04 MST"), r.Code, r.Text)
}

// Fix says what to do, by what is missing.
func (r Refused) Fix(server string) string {
	look := fmt.Sprintf("postseal status %s and, on %s, postseal agent status say whether it signs", r.Domain, server)
	switch r.Cause {
	case "dkim":
		return look + "; if it does, something changes the mail behind the agent: look for a content filter, a relay that converts, a disclaimer"
	case "spf":
		return fmt.Sprintf("add the address that %s sends from to the SPF record of the envelope sender's domain: postseal audit %s shows it", server, r.Domain)
	case "dmarc":
		return fmt.Sprintf("neither DKIM nor SPF passes in the name of the author's domain, or it has no DMARC record: postseal dmarc show %s; %s", r.Domain, look)
	case "alignment":
		return fmt.Sprintf("sign with d=%s and use an envelope sender of %s or below it; %s", r.Domain, r.Domain, look)
	case "reverse_dns":
		return fmt.Sprintf("give the address that %s sends from a PTR record whose name leads back to it", server)
	case "tls":
		return fmt.Sprintf("let %s use TLS where it is offered (smtp_tls_security_level = may in Postfix)", server)
	case "arc":
		return fmt.Sprintf("%s passes on mail that it changes: its ARC seals do not verify; repair or switch off what writes them", server)
	case "null_mx":
		return fmt.Sprintf("the envelope sender's domain has a null MX record, which says that it takes no mail: remove that, or send %s's mail with another envelope sender", r.Domain)
	}
	return fmt.Sprintf("neither DKIM nor SPF passes, or the receiver wants both and a DMARC record: postseal audit %s; %s", r.Domain, look)
}

// checkRefusals refuses what is beyond the limits.
func checkRefusals(refusals []agentapi.Refusal, invalid func(string, ...any) error) error {
	if len(refusals) > agentapi.MaxRefusals {
		return invalid("%d refusals are more than %d", len(refusals), agentapi.MaxRefusals)
	}
	for _, r := range refusals {
		switch {
		case len(r.Domain) > maxDomainBytes || len(r.Receiver) > maxDomainBytes:
			return invalid("the domain or the receiver of a refusal has more than %d octets", maxDomainBytes)
		case len(r.Code) > agentapi.MaxRefusalWord || len(r.Cause) > agentapi.MaxRefusalWord:
			return invalid("the code or the cause of a refusal has more than %d octets", agentapi.MaxRefusalWord)
		case len(r.Text) > agentapi.MaxRefusalText:
			return invalid("the text of a refusal has more than %d octets", agentapi.MaxRefusalText)
		}
	}
	return nil
}

// timely keeps the refusals whose hour is near. Those of a clock that was wrong are passed over: they are no reason to refuse what the report says of keys.
func timely(refusals []agentapi.Refusal, now time.Time) (kept []agentapi.Refusal) {
	for _, r := range refusals {
		hour := time.Unix(r.Hour, 0)
		if r.Hour%3600 != 0 || r.Messages == 0 || r.Receiver == "" || r.Code == "" || hour.After(now.Add(maxRefusalAhead)) || now.Sub(hour) > maxRefusalAge {
			continue
		}
		r.First = min(max(r.First, r.Hour), r.Hour+3599)
		r.Last = min(max(r.Last, r.First), r.Hour+3599)
		kept = append(kept, r)
	}
	return kept
}
