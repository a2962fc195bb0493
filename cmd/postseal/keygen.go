package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
)

func newKeygen() *cobra.Command {
	algorithm := string(dkim.RSA2048)
	var out string
	var names []string
	for _, a := range dkim.KeyAlgorithms() {
		names = append(names, string(a))
	}
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a DKIM key pair",
		Long: `Make a DKIM key pair.

With --out the private key goes to that file (PKCS#8 PEM, mode 0600, never over an existing file)
and the value of the DNS record to publish to standard output.
Without --out the private key goes to standard output and the record value to standard error.

Publish the value as one TXT record at SELECTOR._domainkey.DOMAIN. DNS wants it cut into strings of
at most 255 octets; most tools do that by themselves.`,
		Example: `  postseal keygen --out mx1.pem
  postseal keygen --algorithm ed25519 --out mx1-ed.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("out") && out == "" {
				return fault.New(fault.Invalid, "--out names no file").WithHint("leave --out away to have the private key printed")
			}
			alg := dkim.KeyAlgorithm(algorithm)
			if !slices.Contains(dkim.KeyAlgorithms(), alg) {
				return fault.New(fault.Invalid, "--algorithm %q is not known", algorithm).WithHint("one of %s", strings.Join(names, ", "))
			}
			return keygen(alg, out, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&algorithm, "algorithm", algorithm, "`KIND` of key: "+strings.Join(names, ", "))
	cmd.Flags().StringVar(&out, "out", "", "write the private key to this `FILE`")
	_ = cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// keygen makes a key and writes both halves where they belong.
func keygen(alg dkim.KeyAlgorithm, out string, stdout, stderr io.Writer) error {
	if out != "" {
		// Asked before the key is made, because RSA-4096 takes seconds; the file's own O_EXCL decides below.
		if _, err := os.Lstat(out); err == nil {
			return keyFileExists(out)
		}
	}
	key, err := dkim.GenerateKey(alg, nil)
	if err != nil {
		return err
	}
	text, err := dkim.MarshalPrivateKey(key)
	if err != nil {
		return err
	}
	record, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		return err
	}
	if out == "" {
		if _, err := stdout.Write(text); err != nil {
			return err
		}
		_, err := fmt.Fprintln(stderr, record)
		return err
	}
	if err := writeKeyFile(out, text); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, record)
	return err
}

// writeKeyFile makes a new file that only its owner can read. A file that could not be completed is taken away again.
func writeKeyFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return keyFileExists(path)
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the private key cannot be written: %v", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return fault.Wrap(fault.Unavailable, err, "the private key could not be written to %s: %v", path, err)
	}
	return nil
}

func keyFileExists(path string) error {
	return fault.New(fault.Conflict, "%s exists and stays as it is", path).WithHint("choose another file; a private key is never overwritten")
}
