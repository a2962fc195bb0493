package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
)

// verifyReport is the JSON document of verify (CLI.md).
type verifyReport struct {
	Files []verifiedFile `json:"files"`
}

// verifiedFile is the verdict on one message. Error says why there is none, permerror: the file could not be read.
type verifiedFile struct {
	File       string              `json:"file"`
	Result     dkim.ResultWord     `json:"result"`
	Signatures []verifiedSignature `json:"signatures"`
	Error      string              `json:"error,omitempty"`
}

type verifiedSignature struct {
	Index            int             `json:"index"`
	Domain           string          `json:"domain"`
	Selector         string          `json:"selector"`
	Algorithm        string          `json:"algorithm"`
	Canonicalization string          `json:"canonicalization"`
	Result           dkim.ResultWord `json:"result"`
	Reason           dkim.Reason     `json:"reason"`
	KeyBits          int             `json:"key_bits"`
	Testing          bool            `json:"testing"`
	Aligned          bool            `json:"aligned"`
	Authentic        bool            `json:"authentic"`
	Explanation      *explanation    `json:"explanation,omitempty"`

	detail string // for people
}

// explanation says what broke a signature (dkim.Explain). Proven: a hash confirms it.
type explanation struct {
	Cause   dkim.Cause         `json:"cause"`
	Proven  bool               `json:"proven"`
	Text    string             `json:"text"`
	Headers []headerDifference `json:"headers,omitempty"`
}

type headerDifference struct {
	Name    string `json:"name"`
	Signed  int    `json:"signed"`
	Present int    `json:"present"`
	Removed bool   `json:"removed"`
}

// maxKeptInput bounds what is kept of standard input, which cannot be read twice, for an explanation.
const maxKeptInput = 2 * dkim.MaxExplainedBody

func newVerify() *cobra.Command {
	var (
		dns    dnsFlags
		at     int64
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify [FILE …]",
		Short: "Check the DKIM signatures of messages",
		Long: `Check the DKIM signatures of messages, from files or standard input.

A message's result is that of its best signature: pass, or else the word of RFC 8601 that tells what is wrong; none if it is
unsigned. The exit status is 0 if every message passes, 1 if one does not (unsigned ones included), 2 if a file could not be
read; the other files are checked all the same. Where the body or the header was changed, the line below says what likely
happened: "proven" where undoing it gives what was signed, else "likely". A message whose first line ends in LF alone is taken for a file of a Unix
system, and its line ends count as the CRLF that they were on the wire.`,
		Example: `  postseal verify message.eml
  postseal verify --records dns.json --at 1700000000 --json *.eml`,
		RunE: func(cmd *cobra.Command, files []string) error {
			resolver, err := dns.open()
			if err != nil {
				return err
			}
			opts := dkim.VerifyOptions{Resolver: resolver}
			if cmd.Flags().Changed("at") {
				opts.Now = func() time.Time { return time.Unix(at, 0) }
			}
			if len(files) == 0 {
				files = []string{"-"}
			}
			return verifyFiles(cmd, files, opts, asJSON)
		},
	}
	dns.add(cmd)
	cmd.Flags().Int64Var(&at, "at", 0, "verify as of this time, in seconds since 1970 (`UNIX`)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// verifyFiles checks every file, prints what it found, and turns it into the exit status.
func verifyFiles(cmd *cobra.Command, files []string, opts dkim.VerifyOptions, asJSON bool) error {
	report := verifyReport{Files: make([]verifiedFile, 0, len(files))}
	unread, bad := 0, false
	out := cmd.OutOrStdout()
	for _, name := range files {
		if cmd.Context().Err() != nil {
			return fault.New(fault.Unavailable, "interrupted")
		}
		f := verifyFile(cmd.Context(), name, cmd.InOrStdin(), opts)
		if f.Error != "" {
			unread++
			fmt.Fprintf(cmd.ErrOrStderr(), "postseal: %s: %s\n", f.File, f.Error)
		}
		bad = bad || f.Result != dkim.Pass
		if asJSON {
			report.Files = append(report.Files, f)
		} else if f.Error == "" {
			f.print(out)
		}
	}
	if asJSON {
		if err := printJSON(out, report); err != nil {
			return err
		}
	}
	switch {
	case unread > 0:
		return fault.New(fault.Invalid, "%d of %d messages could not be read", unread, len(files))
	case bad:
		return errBad
	}
	return nil
}

// verifyFile checks one message.
func verifyFile(ctx context.Context, name string, stdin io.Reader, opts dkim.VerifyOptions) verifiedFile {
	f := verifiedFile{File: name, Result: dkim.PermError, Signatures: []verifiedSignature{}}
	in, open := stdin, func() (io.ReadCloser, error) { return os.Open(name) }
	if name == "-" {
		var kept keptInput
		in = io.TeeReader(stdin, &kept)
		open = kept.open
	} else {
		file, err := os.Open(name)
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			f.Error = err.Error()
			return f
		}
		defer file.Close()
		in = file
	}
	results, err := dkim.VerifyMessage(ctx, in, opts)
	if err != nil {
		f.Error = plain(err)
		return f
	}
	f.Result = dkim.Best(results)
	for _, r := range results {
		s := verifiedSignature{
			Index: r.Index, Domain: r.Domain, Selector: r.Selector, Algorithm: r.Algorithm, Canonicalization: r.Canonicalization,
			Result: r.Result, Reason: r.Reason, KeyBits: r.KeyBits, Testing: r.Testing, Aligned: r.Aligned,
			Authentic: r.Authentic,
		}
		var detail *dkim.Error
		if errors.As(r.Err, &detail) {
			s.detail = detail.Detail
		}
		// A verdict stands without its explanation: a file that is gone by now only loses that.
		if e, err := dkim.Explain(ctx, open, opts, r); err == nil && e.Cause != "" {
			s.explain(e)
		}
		f.Signatures = append(f.Signatures, s)
	}
	return f
}

func (s *verifiedSignature) explain(e dkim.Explanation) {
	s.Explanation = &explanation{Cause: e.Cause, Proven: e.Proven, Text: e.Text}
	for _, d := range e.Headers {
		s.Explanation.Headers = append(s.Explanation.Headers, headerDifference(d))
	}
}

// keptInput keeps what was read of standard input, up to maxKeptInput.
type keptInput struct {
	buf  bytes.Buffer
	full bool
}

func (k *keptInput) Write(p []byte) (int, error) {
	if k.full = k.full || k.buf.Len()+len(p) > maxKeptInput; k.full {
		k.buf = bytes.Buffer{}
	} else {
		k.buf.Write(p)
	}
	return len(p), nil
}

func (k *keptInput) open() (io.ReadCloser, error) {
	if k.full {
		return nil, errors.New("standard input is too large to be read again")
	}
	return io.NopCloser(bytes.NewReader(k.buf.Bytes())), nil
}

// print writes the verdict for people: the message in one line, each signature in one below it.
func (f verifiedFile) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", f.File, f.Result)
	for _, s := range f.Signatures {
		facts := []string{}
		if s.KeyBits > 0 {
			facts = append(facts, fmt.Sprintf("%d bit", s.KeyBits))
		}
		if s.Aligned {
			facts = append(facts, "aligned with From")
		}
		if s.Authentic {
			facts = append(facts, "key validated with DNSSEC")
		}
		if s.Testing {
			facts = append(facts, "key in test mode")
		}
		fmt.Fprintf(w, "  %d: %s", s.Index, s.Result)
		if s.Reason != "" {
			fmt.Fprintf(w, " (%s)", string(s.Reason))
		}
		fmt.Fprintf(w, " d=%s s=%s a=%s c=%s", s.Domain, s.Selector, s.Algorithm, s.Canonicalization)
		if len(facts) > 0 {
			fmt.Fprintf(w, ", %s", strings.Join(facts, ", "))
		}
		if s.detail != "" {
			fmt.Fprintf(w, ": %s", s.detail)
		}
		fmt.Fprintln(w)
		if e := s.Explanation; e != nil {
			how := "likely"
			if e.Proven {
				how = "proven"
			}
			fmt.Fprintf(w, "     %s, %s: %s\n", how, e.Cause, e.Text)
		}
	}
}
