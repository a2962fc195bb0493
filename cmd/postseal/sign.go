package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
)

// shortestExpire is what DESIGN.md §5 asks of x=: mail may lie in a queue for five days.
const shortestExpire = 7 * 24 * time.Hour

// signFlags are the flags of sign as given.
type signFlags struct {
	keys, selectors, domains []string
	canonicalization         string
	headers                  string
	expire                   string
	identity                 string
}

func newSign() *cobra.Command {
	flags := signFlags{canonicalization: "relaxed/relaxed"}
	cmd := &cobra.Command{
		Use:   "sign --key FILE --domain D --selector S [FILE]",
		Short: "Sign a message",
		Long: `Sign a message with one or more keys.

The message comes from FILE or standard input and goes to standard output with the DKIM-Signature fields on top; everything
else stays as it is, byte for byte. Each --key goes with the --selector in the same place; --domain is given once, or once per key.

Line ends: a message whose lines end in LF alone (a file on a Unix system) is signed as it will be sent, with CRLF; the new fields
end in LF like the rest. A message that mixes line ends, or has a CR or LF of its own in a line, is refused: mail servers change
such octets on the way, and the signature would break.

--headers replaces the header fields that are signed. Names are separated by colons or commas and signed as often as they are
present; a name that is listed twice is listed once more than it is present, so that nobody can add such a field later.
Without --headers the usual fields are signed and the important ones protected against additions.`,
		Example: `  postseal sign --key mx1.pem --domain example.org --selector mx1-2611abcd message.eml
  postseal sign --key rsa.pem --selector r1 --key ed.pem --selector e1 --domain example.org < message.eml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			signings, err := flags.signings(time.Now())
			if err != nil {
				return err
			}
			if s := signings[0]; s.Expire != 0 && s.Expire < shortestExpire {
				fmt.Fprintln(cmd.ErrOrStderr(), "postseal: warning: mail that is delayed may arrive after --expire; seven days or more are safe")
			}
			name := "-"
			if len(args) > 0 {
				name = args[0]
			}
			message, done, err := openTwice(name, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer done()
			return sign(message, cmd.OutOrStdout(), signings)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.keys, "key", nil, "private key `FILE` (PKCS#8 or PKCS#1 PEM, or a base64 Ed25519 seed)")
	f.StringArrayVar(&flags.selectors, "selector", nil, "selector `S` of the key in the same place")
	f.StringArrayVar(&flags.domains, "domain", nil, "signing domain `D` of all keys, or one per key")
	f.StringVar(&flags.canonicalization, "canonicalization", flags.canonicalization, "`HEADER/BODY`, each relaxed or simple")
	f.StringVar(&flags.headers, "headers", "", "header fields to sign, as a `LIST` from:to:subject")
	f.StringVar(&flags.expire, "expire", "", "let the signature expire after a `TIME` such as 7d or 200h")
	f.StringVar(&flags.identity, "identity", "", "the user or agent, `I` as in i=: user@domain or @domain")
	for _, required := range []string{"key", "selector", "domain"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}

// signings turns the flags into what the library takes.
func (f *signFlags) signings(now time.Time) ([]dkim.Signing, error) {
	if len(f.keys) != len(f.selectors) {
		return nil, fault.New(fault.Invalid, "%d times --key but %d times --selector", len(f.keys), len(f.selectors)).
			WithHint("each key needs its selector, in the same order")
	}
	if len(f.domains) != 1 && len(f.domains) != len(f.keys) {
		return nil, fault.New(fault.Invalid, "%d times --domain for %d keys", len(f.domains), len(f.keys)).
			WithHint("give --domain once for all keys, or once for each")
	}
	common := dkim.Signing{Identity: f.identity, Time: now}
	var err error
	if common.HeaderCanonicalization, common.BodyCanonicalization, err = parseCanonicalization(f.canonicalization); err != nil {
		return nil, err
	}
	if f.expire != "" {
		if common.Expire, err = parseDays(f.expire); err != nil || common.Expire < time.Second {
			return nil, fault.New(fault.Invalid, "--expire %q is not a time of a second or more", f.expire).WithHint("for example 7d or 200h")
		}
	}
	if f.headers != "" {
		common.Headers, common.Oversign = splitHeaders(f.headers)
	}
	signings := make([]dkim.Signing, len(f.keys))
	for i := range f.keys {
		s := common
		s.Selector, s.Domain = f.selectors[i], f.domains[min(i, len(f.domains)-1)]
		for _, other := range signings[:i] {
			if strings.EqualFold(other.Selector, s.Selector) && strings.EqualFold(other.Domain, s.Domain) {
				return nil, fault.New(fault.Invalid, "two keys are to sign as %s._domainkey.%s", s.Selector, s.Domain).
					WithHint("a selector has one record and so one key: give each key its own --selector")
			}
		}
		text, err := readKeyFile(f.keys[i])
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "--key: %v", err)
		}
		if s.Key, err = dkim.ParsePrivateKey(text); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "--key %s: %s", f.keys[i], plain(err)).WithHint("postseal keygen makes one")
		}
		signings[i] = s
	}
	return signings, nil
}

// sign writes the signed message. The message is read twice, so that none of it must be held in memory.
func sign(message io.ReadSeeker, out io.Writer, signings []dkim.Signing) error {
	fields, err := dkim.SignMessage(message, signings...)
	if err != nil {
		f := fault.Wrap(fault.Invalid, err, "%s", plain(err))
		switch {
		case errors.Is(err, dkim.ErrLineEnds):
			f = f.WithHint("bring all its line ends to CRLF, or all to LF, and sign it then")
		case errors.Is(err, dkim.ErrFieldSyntax):
			f = f.WithHint("a message begins with header fields, then an empty line")
		}
		return f
	}
	if _, err := message.Seek(0, io.SeekStart); err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for _, field := range fields {
		_, _ = w.Write(field) // Flush reports it
	}
	if _, err := io.Copy(w, message); err != nil {
		return fmt.Errorf("write the signed message: %w", err)
	}
	return w.Flush()
}

// openTwice opens a message that can be read from its start more than once: the file itself, or a temporary copy of what cannot
// be rewound. done closes it and removes the copy.
func openTwice(name string, stdin io.Reader) (message io.ReadSeeker, done func(), err error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, nil, fault.Wrap(fault.Invalid, err, "%v", err)
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f, func() { f.Close() }, nil
		}
		defer f.Close()
		in = f
	}
	spool, err := os.CreateTemp("", "postseal-sign-*")
	if err != nil {
		return nil, nil, err
	}
	done = func() {
		spool.Close()
		_ = os.Remove(spool.Name())
	}
	if _, err = io.Copy(spool, in); err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("read the message: %w", err)
	}
	return spool, done, nil
}

// parseCanonicalization reads c= as RFC 6376 §3.5 has it: without a slash the body is simple.
func parseCanonicalization(s string) (header, body dkim.Canonicalization, err error) {
	h, b, both := strings.Cut(s, "/")
	if !both {
		b = "simple"
	}
	words := map[string]dkim.Canonicalization{"relaxed": dkim.Relaxed, "simple": dkim.Simple}
	header, okHeader := words[h]
	body, okBody := words[b]
	if !okHeader || !okBody {
		return 0, 0, fault.New(fault.Invalid, "--canonicalization %q is not known", s).
			WithHint("relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple")
	}
	return header, body, nil
}

// parseDays reads a duration that may count days: 7d, 1.5h, 200h30m.
func parseDays(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		const most = 100 * 365 // years ahead, so that no product overflows
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > most {
			return 0, strconv.ErrSyntax
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

// splitHeaders reads the list of --headers; a name that comes twice is to be oversigned.
func splitHeaders(list string) (headers, oversign []string) {
	oversign = []string{} // not nil: the default must not come back
	headers = []string{}
	seen := map[string]int{}
	for name := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		key := strings.ToLower(name)
		seen[key]++
		switch seen[key] {
		case 1:
			headers = append(headers, name)
		case 2:
			oversign = append(oversign, name)
		}
	}
	return headers, oversign
}

// plain takes the package name off an error of package dkim, for people.
func plain(err error) string {
	return strings.ReplaceAll(err.Error(), "dkim: ", "")
}

// maxKeyFile bounds a private key file: an RSA-4096 key in PEM has 3.3 kB.
const maxKeyFile = 64 << 10

// readKeyFile reads a key file whole, but not a device or a disk image that somebody named by mistake.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fault.New(fault.Invalid, "%s is no key file: it has more than %d octets", path, maxKeyFile)
	}
	return text, err
}
