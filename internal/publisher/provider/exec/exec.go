// Package exec publishes through a program that an administrator wrote for a DNS host that Postseal does not know. docs/exec-protocol.md has the protocol and an
// example. The program reads and writes; what protects the zone — compare, write only what was expected, read back — is done here.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/programs"
)

// Version is that of the protocol.
const Version = 1

// maxRecords is how many records of one name are read.
const maxRecords = 200

// New makes a provider that runs a program by its name. The error is fault.Invalid.
func New(o hosted.Options, dir programs.Dir, program string) (*hosted.Provider, error) {
	if _, err := dir.Path(program); err != nil {
		return nil, err
	}
	return hosted.NewProvider("the program "+program, &vendor{dir, program}, publisher.Capabilities{}, o)
}

type vendor struct {
	dir     programs.Dir
	program string
}

// request is what the program gets on standard input.
type request struct {
	Version   int      `json:"version"`
	Operation string   `json:"operation"` // zone, get, set
	Zone      string   `json:"zone"`
	Name      string   `json:"name,omitempty"` // absolute, without trailing dot
	Type      string   `json:"type,omitempty"`
	Have      []string `json:"have,omitempty"` // of set: the values that stand there now
	Want      []string `json:"want,omitempty"` // and those that shall; none = nothing
	TTL       int      `json:"ttl,omitempty"`
}

// response is what it answers on standard output.
type response struct {
	Records []struct {
		Type  string `json:"type"`
		Value string `json:"value"` // complete: a TXT record's strings joined, without quotes
		TTL   int    `json:"ttl"`
	} `json:"records"`
	Error *struct {
		Code    string `json:"code"` // conflict, denied, not_found, invalid, unavailable
		Message string `json:"message"`
	} `json:"error"`
}

func (v *vendor) call(ctx context.Context, r request) (response, error) {
	r.Version = Version
	input, err := json.Marshal(r)
	if err != nil {
		return response{}, fault.Wrap(fault.Internal, err, "the request cannot be written")
	}
	output, err := v.dir.Run(ctx, v.program, append(input, '\n'))
	if err != nil {
		return response{}, err
	}
	var out response
	d := json.NewDecoder(bytes.NewReader(output))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil || d.More() {
		return out, fault.New(fault.Unavailable, "the program %s answers with something that is not one JSON document of the protocol", v.program).
			WithHint("docs/exec-protocol.md has it; messages for people belong on standard error")
	}
	if len(out.Records) > maxRecords {
		return out, fault.New(fault.Unavailable, "the program %s answers with more than %d records", v.program, maxRecords)
	}
	if out.Error != nil {
		return out, v.refusal(out.Error.Code, out.Error.Message)
	}
	return out, nil
}

func (v *vendor) refusal(word, message string) error {
	codes := map[string]fault.Code{"conflict": fault.Conflict, "denied": fault.Denied, "not_found": fault.NotFound, "invalid": fault.Invalid, "unavailable": fault.Unavailable}
	code, known := codes[word]
	if !known {
		code = fault.Unavailable
	}
	const most = 300
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	if r := []rune(message); len(r) > most {
		message = string(r[:most]) + "…"
	}
	return fault.New(code, "the program %s says: %s", v.program, message).WithHint("its author knows what that means")
}

// FindZone implements hosted.Vendor: the name is the handle.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	_, err := v.call(ctx, request{Operation: "zone", Zone: name})
	return name, err
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	answer, err := v.call(ctx, request{Operation: "get", Zone: zone.Name, Name: name})
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, r := range answer.Records {
		out = append(out, hosted.Record{Type: strings.ToUpper(r.Type), Value: r.Value, TTL: hosted.Seconds(r.TTL)})
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	r := request{Operation: "set", Zone: zone.Name, Name: w.Name, Type: w.Type, TTL: w.TTLOf()}
	for _, have := range w.Have {
		r.Have = append(r.Have, have.Value)
	}
	for _, want := range w.Want {
		r.Want = append(r.Want, want.Value)
	}
	_, err := v.call(ctx, r)
	return err
}
