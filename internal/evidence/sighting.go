package evidence

import (
	"fmt"
	"strings"
	"time"
)

// Verdict is what one server's answer means for one expectation.
type Verdict string

const (
	Shows   Verdict = "shows"   // exactly the expected value (or nothing, when nothing is expected)
	Differs Verdict = "differs" // an answer that is something else
	Silent  Verdict = "silent"  // no usable answer: no evidence either way
)

// ServerSight is what one authoritative server says.
type ServerSight struct {
	Server  string   `json:"server"`
	Verdict Verdict  `json:"verdict"`
	Values  []string `json:"values,omitempty"` // what stands there; nil = nothing
	CNAME   string   `json:"cname,omitempty"`
	Detail  string   `json:"detail,omitempty"` // "NXDOMAIN", "timeout", …
}

// Sighting is one look at one name and type on every authoritative server.
type Sighting struct {
	Name     string        `json:"name"`
	Type     string        `json:"type"`
	Expected string        `json:"expected"` // "" = nothing should stand there
	At       time.Time     `json:"at"`
	Zone     string        `json:"zone"`
	Servers  []ServerSight `json:"servers"`
	// PositiveTTL and NegativeTTL are the largest seen in this look along the chain.
	PositiveTTL time.Duration `json:"positive_ttl"`
	NegativeTTL time.Duration `json:"negative_ttl"`
	// Problem is set when the zone or its servers could not be found at all; Servers is empty then.
	Problem string `json:"problem,omitempty"`
}

// Agreed reports whether every listed server shows the expected value. Servers for which waived returns true may be
// silent; they may not differ.
func (s Sighting) Agreed(waived func(server string) bool) bool {
	if s.Problem != "" || len(s.Servers) == 0 {
		return false
	}
	shows := 0
	for _, server := range s.Servers {
		switch server.Verdict {
		case Shows:
			shows++
		case Silent:
			if waived == nil || !waived(server.Server) {
				return false
			}
		default:
			return false
		}
	}
	return shows > 0
}

// Contradicted reports whether some server answers with something else than expected.
func (s Sighting) Contradicted() bool {
	for _, server := range s.Servers {
		if server.Verdict == Differs {
			return true
		}
	}
	return false
}

// Foreign returns a value that stands at the name on some server and is not among ours; "" when there is none.
func (s Sighting) Foreign(ours ...string) string {
	for _, server := range s.Servers {
		if server.CNAME != "" && s.Type != "CNAME" {
			return "CNAME " + server.CNAME
		}
	values:
		for _, v := range server.Values {
			for _, own := range ours {
				if v == own {
					continue values
				}
			}
			return v
		}
	}
	return ""
}

// Sentence says who disagrees, for people; "" when all agree.
func (s Sighting) Sentence() string {
	if s.Problem != "" {
		return s.Problem
	}
	var parts []string
	for _, server := range s.Servers {
		if server.Verdict == Shows {
			continue
		}
		what := server.Detail
		if what == "" {
			what = "answers " + quote(server.Values)
		}
		parts = append(parts, fmt.Sprintf("%s: %s", server.Server, what))
	}
	return strings.Join(parts, "; ")
}

func quote(values []string) string {
	const shown = 60 // octets of a value in a sentence: enough to recognise it
	var parts []string
	for _, v := range values {
		if len(v) > shown {
			v = v[:shown] + "…"
		}
		parts = append(parts, fmt.Sprintf("%q", v))
	}
	return strings.Join(parts, ", ")
}

// Empty reports whether every server answered, and with nothing at all.
func (s Sighting) Empty() bool {
	if s.Problem != "" || len(s.Servers) == 0 {
		return false
	}
	for _, server := range s.Servers {
		if server.Verdict == Silent || len(server.Values) > 0 || server.CNAME != "" {
			return false
		}
	}
	return true
}

// Single returns the one value that every answering server shows; ok is false when they differ or show several.
func (s Sighting) Single() (value string, ok bool) {
	first := true
	for _, server := range s.Servers {
		if server.Verdict == Silent {
			continue
		}
		if len(server.Values) > 1 || server.CNAME != "" && s.Type != "CNAME" {
			return "", false
		}
		have := ""
		if len(server.Values) == 1 {
			have = server.Values[0]
		}
		if !first && have != value {
			return "", false
		}
		value, first = have, false
	}
	return value, !first
}
