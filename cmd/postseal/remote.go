package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/agent"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// Variables of the environment that the commands on a control plane read.
const (
	envURL   = "POSTSEAL_URL"
	envToken = "POSTSEAL_TOKEN"
	envCA    = "POSTSEAL_CA"
	envData  = "POSTSEAL_DATA"
)

// maxCAFile is what is read of a file with authorities: two have about 2 kB.
const maxCAFile = 64 << 10

// remote is how a command reaches the control plane, and how it prints.
type remote struct {
	url, tokenFile, ca, data string
	asJSON                   bool
}

// remoteCommands are the commands on a control plane.
func remoteCommands() []*cobra.Command {
	return []*cobra.Command{
		newPlan(), newApply(), newStatus(), newRotate(), newHold(), newRelease(), newFreeze(), newThaw(), newWaive(), newApprove(), newRevoke(), newCheck(),
		newDomain(), newServerNoun(), newPool(), newService(), newDMARC(), newKeyNoun(), newRecordNoun(), newTicketNoun(), newProbe(), newFinding(), newJournal(), newToken(), newUser(),
	}
}

// add gives a command the flags that say where the control plane is. With asJSON it also gets --json.
func (r *remote) add(cmd *cobra.Command, asJSON bool) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&r.url, "url", "", "the control plane's address (default $"+envURL+", else the one in admin.json)")
	f.StringVar(&r.tokenFile, "token-file", "", "read the access token from this `FILE` (default $"+envToken+", else the one in admin.json)")
	f.StringVar(&r.ca, "ca", "", "trust only the authorities in this PEM `FILE` (default $"+envCA+", else those in admin.json)")
	f.StringVar(&r.data, "data", "", "data directory of serve, with admin.json (default $"+envData+", $STATE_DIRECTORY, /var/lib/postseal)")
	if asJSON {
		f.BoolVar(&r.asJSON, "json", false, "print one JSON document")
	}
	return cmd
}

// open returns a client. What flags and environment do not say comes from admin.json, but its token goes only to the
// address that is in it.
func (r *remote) open() (*client.Client, error) {
	a := client.Access{URL: firstOf(r.url, os.Getenv(envURL)), Token: os.Getenv(envToken)}
	if r.tokenFile != "" {
		text, err := agent.ReadTokenFile(r.tokenFile)
		if err != nil {
			return nil, err
		}
		a.Token = trimSpace(text)
	}
	if path := firstOf(r.ca, os.Getenv(envCA)); path != "" {
		pem, err := readAtMost(path, nil, maxCAFile)
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, "%s holds no certificate of an authority", path).WithHint("--ca (or $" + envCA + ") names a PEM file with the control plane's authority; leave it out to use the one in admin.json")
		}
		a.CA = string(pem)
	}
	if a.URL == "" || a.Token == "" {
		local, err := r.admin()
		if err != nil && (a.URL == "" || r.data != "") {
			return nil, err
		}
		if a.URL == "" || a.URL == local.URL {
			a.URL, a.Token, a.CA = local.URL, firstOf(a.Token, local.Token), firstOf(a.CA, local.CA)
		}
	}
	return client.New(a)
}

// admin reads admin.json from the directory that was named, or from the first usual one that has it.
func (r *remote) admin() (client.Access, error) {
	dirs := client.DefaultDataDirs()
	if dir := firstOf(r.data, os.Getenv(envData)); dir != "" {
		dirs = []string{dir}
	}
	var last error
	for _, dir := range dirs {
		a, err := client.ReadAdmin(dir)
		if err == nil {
			return a, nil
		}
		if last = err; fault.CodeOf(err) != fault.NotFound {
			break
		}
	}
	return client.Access{}, last
}

// json prints what --json promises of a command that asks a control plane: one document, indented.
func (r *remote) json(out io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(calmJSON(b.Bytes()))
	return err
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// readAtMost reads a file, or in for "-", and refuses one that is larger than limit.
func readAtMost(path string, in io.Reader, limit int64) ([]byte, error) {
	if path != "-" || in == nil {
		f, err := os.Open(path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	if int64(len(content)) > limit {
		return nil, fault.New(fault.Invalid, "%s has more than %d octets", path, limit)
	}
	return content, nil
}
