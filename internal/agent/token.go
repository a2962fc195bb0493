package agent

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
)

// Forms of a join token: psj1.<id>.<secret, base64url>.<SHA-256 of the CA's certificate, hexadecimal>.
const (
	tokenPrefix  = "psj1"
	maxToken     = 512
	minSecret    = 16 // octets; the control plane makes 32
	tokenHint    = "copy the whole token as the control plane printed it: psj1.… in one line"
	maxTokenFile = 4 << 10
)

// joinToken is a join token taken apart.
type joinToken struct {
	text string // as given, without white space around it
	id   string
	pin  [sha256.Size]byte // of the CA's certificate
}

// parseToken checks the form of a token. Its secret never appears in an error.
func parseToken(text string) (joinToken, error) {
	text = strings.TrimSpace(text)
	bad := func(what string) (joinToken, error) {
		return joinToken{}, fault.New(fault.Invalid, "the join token %s", what).WithHint(tokenHint)
	}
	if text == "" {
		return bad("is empty")
	}
	if len(text) > maxToken || strings.ContainsAny(text, " \t\r\n") {
		return bad("is not one word of at most 512 octets")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 || parts[0] != tokenPrefix || parts[1] == "" {
		return bad("has not the form psj1.id.secret.pin")
	}
	if secret, err := base64.RawURLEncoding.DecodeString(parts[2]); err != nil || len(secret) < minSecret {
		return bad("has a broken secret")
	}
	t := joinToken{text: text, id: parts[1]}
	pin, err := hex.DecodeString(parts[3])
	if err != nil || len(pin) != len(t.pin) {
		return bad("has a broken pin")
	}
	copy(t.pin[:], pin)
	return t, nil
}

// ReadTokenFile reads a join token from a file that nobody else can read. Files in systemd's credentials directory are guarded by
// systemd, whose ACLs look like group permissions.
func ReadTokenFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Wrap(fault.NotFound, err, "there is no token file %s", path)
	}
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the token file %s cannot be read", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the token file %s cannot be read", path)
	}
	credentials := os.Getenv(keystore.CredentialsDirectory)
	guarded := credentials != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(credentials)
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !guarded {
		return "", fault.New(fault.Invalid, "the token file %s has mode %04o: others than its owner can read it", path, info.Mode().Perm()).
			WithHint("make a new token, because this one may be known, and write it with umask 077")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the token file %s cannot be read", path)
	}
	return string(content), nil
}
