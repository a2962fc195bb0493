package intake

import (
	"context"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Kind says what an address is for.
type Kind string

// The kinds.
const (
	NoAddress  Kind = "" // there is no such address
	ForReports Kind = "reports"
	ForProbes  Kind = "probe"
)

// Purpose is what an address is for.
type Purpose struct {
	Kind   Kind
	Domain string // of a report address: the one that its reports are about; "" = several
	Token  string // of a probe address
}

// Book knows which addresses there are.
type Book interface {
	// Recipient says what an address is for; it is in lower case, its domain in A-labels. An error means that it cannot be told now.
	Recipient(ctx context.Context, address string) (Purpose, error)
}

// Addresses is a Book with a few addresses and their plus-addresses: reports@… and reports+example.org@… for reports, probe+TOKEN@… for probes.
type Addresses struct {
	Reports []string // lower-case, domains in A-labels
	Probes  []string
	// Known reports whether there is a domain in the inventory.
	Known func(ctx context.Context, domain string) (bool, error)
	// Expected reports whether a probe with that token is waited for; nil = each is taken, and whoever is told of it decides.
	Expected func(ctx context.Context, token string) (bool, error)
}

// NewAddresses checks the addresses and puts them into their normal form. Errors are fault.Invalid.
func NewAddresses(reports, probes []string, known, expected func(context.Context, string) (bool, error)) (*Addresses, error) {
	a := &Addresses{Known: known, Expected: expected}
	for _, l := range []struct {
		given []string
		into  *[]string
	}{{reports, &a.Reports}, {probes, &a.Probes}} {
		for _, text := range l.given {
			address, ok := normalAddress(text)
			if !ok || strings.Contains(address, "+") {
				return nil, fault.New(fault.Invalid, "%q is no address for reports or probes", text).WithHint("for instance reports@example.org; what follows a plus is added by Postseal")
			}
			*l.into = append(*l.into, address)
		}
	}
	return a, nil
}

// Recipient implements Book.
func (a *Addresses) Recipient(ctx context.Context, address string) (Purpose, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return Purpose{}, nil
	}
	local, detail, plus := strings.Cut(address[:at], "+")
	base := local + address[at:]
	for _, r := range a.Reports {
		switch {
		case r != base:
		case !plus:
			return Purpose{Kind: ForReports}, nil
		default:
			known, err := a.Known(ctx, detail)
			if err != nil || !known {
				return Purpose{}, err
			}
			return Purpose{Kind: ForReports, Domain: detail}, nil
		}
	}
	for _, p := range a.Probes {
		if p != base || !plus || !isToken(detail) {
			continue
		}
		if a.Expected != nil {
			if expected, err := a.Expected(ctx, detail); err != nil || !expected {
				return Purpose{}, err
			}
		}
		return Purpose{Kind: ForProbes, Token: detail}, nil
	}
	return Purpose{}, nil
}

// A token cannot be guessed and survives letters becoming small: 26 characters of base32 are 128 bits. What is shorter than 16 is none.
const (
	minToken = 16
	maxToken = 64
)

func isToken(text string) bool {
	return len(text) >= minToken && len(text) <= maxToken && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// Normal is an address as a Book is asked for it: in lower case, its domain in A-labels. fault.Invalid: it is none.
func Normal(address string) (string, error) {
	a, ok := normalAddress(address)
	if !ok {
		return "", fault.New(fault.Invalid, "%q is no address", address)
	}
	return a, nil
}
