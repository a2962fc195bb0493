package resolver

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// File answers from a JSON object instead of the network: a lower-case name without trailing dot maps to a list of complete
// TXT strings, {"cname": "target"} or {"error": "nxdomain"|"servfail"|"timeout"}; a missing name is NXDOMAIN, but for one with names below it (RFC 8020). It is
// safe for concurrent use.
type File struct {
	names map[string]entry
	above map[string]bool // names that have others below them
}

// entry is the value of one name.
type entry struct {
	txt   []string
	cname string
	err   string
}

// NewFile reads the object. Errors carry fault.Invalid.
func NewFile(r io.Reader) (*File, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the records cannot be read")
	}
	if len(b) > maxFile {
		return nil, fault.New(fault.Invalid, "the records are larger than %d MiB", maxFile>>20)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the records are not a JSON object")
	}
	f := &File{names: make(map[string]entry, len(raw)), above: make(map[string]bool)}
	for name, value := range raw {
		e, err := readEntry(value)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the records of %q are neither a list of strings nor {\"cname\": …} nor {\"error\": …}", name)
		}
		key := fileKey(name)
		if _, dup := f.names[key]; dup {
			return nil, fault.New(fault.Invalid, "the records name %q twice", key)
		}
		f.names[key] = e
		for _, rest, more := strings.Cut(key, "."); more && !f.above[rest]; _, rest, more = strings.Cut(rest, ".") {
			f.above[rest] = true
		}
	}
	return f, nil
}

func readEntry(value json.RawMessage) (entry, error) {
	var e entry
	if bytes.HasPrefix(bytes.TrimSpace(value), []byte("[")) {
		return e, json.Unmarshal(value, &e.txt)
	}
	var object struct {
		CNAME string `json:"cname"`
		Error string `json:"error"`
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&object); err != nil {
		return e, err
	}
	e.cname, e.err = object.CNAME, object.Error
	words := []string{"nxdomain", "servfail", "timeout"}
	if (e.cname == "") == (e.err == "") || (e.err != "" && !slices.Contains(words, e.err)) {
		return e, fault.New(fault.Invalid, "want one of cname and error, the error one of %s", strings.Join(words, ", "))
	}
	return e, nil
}

// fileKey brings a name into the form of the object's keys. Names that are no domain names are kept: test data holds some.
func fileKey(name string) string {
	if ascii, err := ToASCII(name); err == nil {
		return ascii
	}
	return canonical(name)
}

// Answer says what the file holds for "TXT" or "CNAME" in the terms of a server's answer; for other types there is nothing.
func (f *File) Answer(name, rrtype string) Answer {
	a := Answer{Server: "file"}
	seen := []string{fileKey(name)}
	for {
		e, ok := f.names[seen[len(seen)-1]]
		switch {
		case !ok && f.above[seen[len(seen)-1]]:
			a.Status = StatusNoData
		case !ok || e.err == "nxdomain":
			a.Status, a.Rcode = StatusNXDomain, 3
		case e.err == "servfail":
			a.Status, a.Detail, a.Rcode = StatusError, "SERVFAIL", 2
		case e.err == "timeout":
			a.Status, a.Detail = StatusError, DetailTimeout
		case e.cname != "":
			target := fileKey(e.cname)
			a.CNAME = append(a.CNAME, target)
			if len(seen) == 1 {
				a.Own = target
			}
			if rrtype == "CNAME" {
				a.Status = StatusOK
				return a
			}
			if detail := refuseHop(seen, target); detail != "" {
				a.Status, a.Detail = StatusError, detail
				return a
			}
			seen = append(seen, target)
			continue
		case rrtype != "TXT" || len(e.txt) == 0:
			a.Status = StatusNoData
		default:
			a.Status, a.TXT = StatusOK, slices.Sorted(slices.Values(e.txt))
		}
		return a
	}
}

// LookupTXT follows CNAMEs and returns the errors of package net, as the methods of Recursive do.
func (f *File) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true, IsTimeout: true, UnwrapErr: err}
	}
	a := f.Answer(name, "TXT")
	if a.Status != StatusOK {
		return nil, lookupError(name, a)
	}
	return a.TXT, nil
}
