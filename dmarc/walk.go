package dmarc

import (
	"context"
	"errors"
	"net"
)

// Resolver finds TXT records. It has the shape of *net.Resolver: each record's strings are joined, and an error that is a
// *net.DNSError with IsNotFound means that there are none. Any other error is temporary.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// MaxQueries is the most that one tree walk asks (RFC 9989 §4.10).
const MaxQueries = 8

// jumpLabels is how many labels are left for the second query of a longer name (RFC 9989 §4.10, step 4).
const jumpLabels = MaxQueries - 1

// Found is a record that a tree walk came by.
type Found struct {
	Domain string // without the _dmarc label
	Record *Record
}

// Tree is what a tree walk found, from the start towards the root.
type Tree struct {
	Start string
	Found []Found
}

// Walk asks for records at a name and at the names above it (RFC 9989 §4.10). It stops at one that says psd=y or psd=n
// and after MaxQueries queries. Names with several records count as having none, and so do records that are not well
// formed; one without a policy counts.
//
// The error is ErrDomain for a name that is none, or what the Resolver says when it cannot answer.
func Walk(ctx context.Context, r Resolver, name string) (Tree, error) {
	name, ok := normal(name)
	if !ok {
		return Tree{}, &Error{Err: ErrDomain}
	}
	t := Tree{Start: name}
	for target := name; ; {
		record, err := lookup(ctx, r, target)
		if err != nil {
			return Tree{}, err
		}
		if record != nil {
			t.Found = append(t.Found, Found{target, record})
			if record.PSD == PSDYes || record.PSD == PSDNo {
				return t, nil
			}
		}
		n := countLabels(target)
		if n == 1 {
			return t, nil
		}
		target = lastLabels(target, min(n-1, jumpLabels))
	}
}

// lookup asks for the record at a normal name; nil when there is none that counts.
func lookup(ctx context.Context, r Resolver, domain string) (*Record, error) {
	name := "_dmarc." + domain
	if len(name) > maxName {
		return nil, nil // no such name can exist
	}
	txts, err := r.LookupTXT(ctx, name)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			return nil, nil
		}
		return nil, err
	}
	var only *Record
	records := 0
	for _, txt := range txts {
		if !IsRecord(txt) {
			continue
		}
		records++
		only, _ = Parse(txt)
	}
	if records != 1 {
		return nil, nil // several are all discarded (RFC 9989 §4.10, step 2)
	}
	return only, nil
}

// Organization returns the organizational domain (RFC 9989 §4.10.2).
func (t Tree) Organization() string {
	org := t.Start
	for _, f := range t.Found {
		switch {
		case f.Record.PSD == PSDNo:
			return f.Domain
		case f.Record.PSD == PSDYes && f.Domain != t.Start:
			return lastLabels(t.Start, countLabels(f.Domain)+1)
		}
		org = f.Domain // the fewest labels so far
	}
	return org
}

// At returns the record found at a domain, nil when there is none.
func (t Tree) At(domain string) *Record {
	for _, f := range t.Found {
		if f.Domain == domain {
			return f.Record
		}
	}
	return nil
}

// Policy returns the record that applies to mail whose author's domain is the start, and where it was found: the
// domain's own, else the organizational domain's, else the public suffix's (RFC 9989 §4.10.1). found.Record is nil when
// none applies.
func (t Tree) Policy() (found Found) {
	for _, domain := range []string{t.Start, t.Organization()} {
		if r := t.At(domain); r != nil {
			return Found{domain, r}
		}
	}
	if n := len(t.Found); n > 0 && t.Found[n-1].Record.PSD == PSDYes {
		return t.Found[n-1]
	}
	return Found{}
}
