package dkim_test

import (
	"context"
	"net"
)

// namedRecords answers by name.
type namedRecords map[string][]string

func (r namedRecords) LookupTXT(_ context.Context, name string) ([]string, error) {
	if records, ok := r[name]; ok {
		return records, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
