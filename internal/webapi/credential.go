package webapi

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxCredential is the size of a credential in octets. A token has under two hundred, a service account's file three thousand.
	maxCredential = 64 << 10

	// tooOpen are the permissions of a file that others can read or replace; reading by the group is how a daemon gets at it.
	tooOpen fs.FileMode = 0o027

	// credentialsDirectory is where systemd puts the credentials of a unit (systemd.exec(5), LoadCredential=).
	credentialsDirectory = "CREDENTIALS_DIRECTORY"
)

// Credential names a secret and reads it anew at each use, so that one that was exchanged counts at once. It is safe for concurrent use.
// Its errors and its text never hold the secret.
type Credential struct {
	scheme, name string
	log          *slog.Logger
	once         bool // a person's command reads it, not the control plane

	mu     sync.Mutex
	warned fs.FileMode // of the last warning about permissions
}

// NewCredential takes "file:/path", "env:NAME" or "systemd:NAME"; nothing is read yet. Errors are fault.Invalid. log gets warnings; nil = none.
func NewCredential(spec string, log *slog.Logger) (*Credential, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	const hint = "write it as file:/path, env:NAME or systemd:NAME"
	scheme, name, found := strings.Cut(spec, ":")
	if !found || name == "" {
		// The text may be the secret itself, so it is not shown.
		return nil, fault.New(fault.Invalid, "the credential does not say where it is").WithHint(hint)
	}
	switch scheme {
	case "file":
		if !filepath.IsAbs(name) {
			return nil, fault.New(fault.Invalid, "the credential's file %q is no absolute path", name).WithHint(hint)
		}
	case "env":
	case "systemd":
		if name != filepath.Base(name) || name == ".." || name == "." {
			return nil, fault.New(fault.Invalid, "%q is no name of a credential of systemd", name).WithHint("LoadCredential=%s", "NAME:/path in the unit, and systemd:NAME here")
		}
	default:
		return nil, fault.New(fault.Invalid, "the credential does not say where it is").WithHint(hint)
	}
	return &Credential{scheme: scheme, name: name, log: log}, nil
}

// String says where the secret is.
func (c *Credential) String() string { return c.scheme + ":" + c.name }

// Secret returns the secret without surrounding white space; it may have several lines. fault.Invalid: there is none, or it is no credential;
// fault.Denied: the file may not be read.
func (c *Credential) Secret() (string, error) {
	raw, err := c.read()
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(raw)
	if secret == "" {
		return "", fault.New(fault.Invalid, "the credential %s is empty", c).WithHint("put the token into it")
	}
	return secret, nil
}

// Token returns a secret that goes into a header field: one line of visible ASCII. Errors as those of Secret.
func (c *Credential) Token() (string, error) {
	secret, err := c.Secret()
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fault.New(fault.Invalid, "the credential %s is no token: it holds a space, a line break or an unusual character", c).
			WithHint("it must hold the token alone, without a name before it")
	}
	return secret, nil
}

func (c *Credential) read() (string, error) {
	switch c.scheme {
	case "env":
		value, ok := os.LookupEnv(c.name)
		switch {
		case !ok && c.once:
			return "", fault.New(fault.Invalid, "the credential %s is not there: there is no such environment variable where this command runs", c).
				WithHint("export %s before, or use file:/path; the control plane's environment is not looked at", c.name)
		case !ok:
			return "", fault.New(fault.Invalid, "the credential %s is not there: the control plane has no such environment variable", c).
				WithHint("set it in the unit's EnvironmentFile=, or use file: or systemd:")
		case len(value) > maxCredential:
			return "", c.tooLarge()
		}
		return value, nil
	case "systemd":
		dir := os.Getenv(credentialsDirectory)
		if dir == "" && c.once {
			return "", fault.New(fault.Invalid, "the credential %s is not there: systemd gave this command no credentials", c).
				WithHint("it is read where the command runs: use file:/path or env:NAME, or systemd-run -p LoadCredential=%s:/path", c.name)
		}
		if dir == "" {
			return "", fault.New(fault.Invalid, "the credential %s is not there: systemd gave this process no credentials", c).
				WithHint("add LoadCredential=%s:/path to the unit and restart it", c.name)
		}
		return c.readFile(filepath.Join(dir, c.name), false)
	}
	return c.readFile(c.name, true)
}

func (c *Credential) readFile(path string, guarded bool) (string, error) {
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait for its writer
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", c.forbidden(err)
	case err != nil:
		return "", fault.Wrap(fault.Invalid, err, "the credential %s cannot be read", c).WithHint("check that the file exists")
	case !info.Mode().IsRegular():
		return "", fault.New(fault.Invalid, "the credential %s is no regular file", c).WithHint("name the file that holds the token")
	}
	if guarded {
		c.warn(info.Mode().Perm())
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", c.forbidden(err)
	case err != nil:
		return "", fault.Wrap(fault.Invalid, err, "the credential %s cannot be read", c)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	switch {
	case err != nil:
		return "", fault.Wrap(fault.Invalid, err, "the credential %s cannot be read", c)
	case len(data) > maxCredential:
		return "", c.tooLarge()
	}
	return string(data), nil
}

func (c *Credential) forbidden(err error) error {
	if c.once {
		return fault.Wrap(fault.Denied, err, "the credential %s may not be read by the account that runs this command", c).WithHint("run it as one that may, or give this one the right")
	}
	return fault.Wrap(fault.Denied, err, "the credential %s may not be read by the control plane", c).WithHint("give its account the right: chgrp and chmod 640")
}

func (c *Credential) tooLarge() error {
	return fault.New(fault.Invalid, "the credential %s is larger than %d octets", c, maxCredential).WithHint("name the file that holds the token alone")
}

// warn says once for each mode that others get at the file.
func (c *Credential) warn(mode fs.FileMode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mode&tooOpen != 0 && mode != c.warned {
		hint := "chmod 640, owned by the account or group of the control plane"
		if c.once {
			hint = "chmod 600, owned by the account that runs the command"
		}
		c.log.Warn("others can read or replace a credential", "credential", c.String(), "mode", mode.String(), "hint", hint)
	}
	c.warned = mode
}
