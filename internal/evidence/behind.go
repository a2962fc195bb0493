package evidence

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Found is what stands at the end of a name.
type Found string

const (
	FoundValues Found = "found"   // TXT records
	FoundNone   Found = "missing" // the name at the end exists without one
	FoundGone   Found = "gone"    // the name at the end does not exist
	FoundSilent Found = "silent"  // no usable answer: no evidence either way
)

// Behind is what stands where a name's CNAMEs end, whoever's zone that is.
type Behind struct {
	At    time.Time `json:"at"`
	Found Found     `json:"found"`
	Chain []string  `json:"chain,omitempty"` // the names that CNAMEs led to, in order
	TXT   []string  `json:"txt,omitempty"`
	// Unregistered is the registrable domain of the last name of the chain, when the DNS denies that it is delegated: whoever
	// registers it answers for it. "" when it is delegated, or when that is not known.
	Unregistered string `json:"unregistered,omitempty"`
	Detail       string `json:"detail,omitempty"` // why there is no usable answer
}

// Behind follows a name to its end. Trouble never becomes a statement: a server that does not answer, and servers that contradict
// each other, are FoundSilent.
func (o *Observer) Behind(ctx context.Context, name string) Behind {
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return Behind{At: o.now(), Found: FoundSilent, Detail: "interrupted"}
	}
	view, err := o.resolver.Authoritative(ctx, name, "TXT")
	b := Behind{At: o.now(), Found: FoundSilent}
	if err != nil {
		b.Detail, _ = fault.Show(err)
		return b
	}
	i := slices.IndexFunc(view.Answers, func(a resolver.Answer) bool { return a.Status != resolver.StatusError })
	if i < 0 {
		if len(view.Answers) > 0 {
			b.Detail = view.Answers[0].Detail
		}
		return b
	}
	a := view.Answers[i]
	b.Chain, b.TXT = slices.Clone(a.CNAME), bounded(a.TXT)
	switch a.Status {
	case resolver.StatusOK:
		b.Found = FoundValues
	case resolver.StatusNoData:
		b.Found = FoundNone
	default:
		b.Found = FoundGone
		b.Unregistered = o.unregistered(ctx, b.Chain)
	}
	return b
}

// What is kept of foreign values: they are stored at every look.
const (
	// maxBehindValues is how many values are kept. A selector has one; a second one is worth seeing, a hundred are not.
	maxBehindValues = 4
	// maxBehindOctets is the longest value that is kept: what package dkim reads of a key record at most.
	maxBehindOctets = 16 << 10
)

// bounded leaves out what no key record is.
func bounded(values []string) []string {
	var out []string
	for _, v := range values {
		if len(v) <= maxBehindOctets && len(out) < maxBehindValues {
			out = append(out, v)
		}
	}
	return out
}

// unregistered asks whether the domain at the end of a chain is delegated to anybody.
func (o *Observer) unregistered(ctx context.Context, chain []string) string {
	if len(chain) == 0 {
		return ""
	}
	domain := registrable(chain[len(chain)-1])
	if domain == "" {
		return ""
	}
	if _, err := o.resolver.Authoritative(ctx, domain, "SOA"); fault.CodeOf(err) == fault.NotFound {
		return domain
	}
	return ""
}

// registrable returns the part of a name that somebody registers: one label below the suffix under which registries sell names. Suffixes of
// companies, such as hosters', are names that were registered themselves.
func registrable(name string) string {
	suffix, ofRegistry := publicsuffix.PublicSuffix(name)
	for !ofRegistry && strings.Contains(suffix, ".") {
		_, above, _ := strings.Cut(suffix, ".")
		suffix, ofRegistry = publicsuffix.PublicSuffix(above)
	}
	below, found := strings.CutSuffix(name, "."+suffix)
	if !found || suffix == "" {
		return ""
	}
	return below[strings.LastIndex(below, ".")+1:] + "." + suffix
}
