package access

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postseal/postseal/internal/fault"
)

// AdminFile is the name of the local administrator's file in the data directory.
const AdminFile = "admin.json"

// LocalAdmin is the name of the user whose token serve writes on its first start.
const LocalAdmin = "admin"

// maxAdminFile is what is read of it: an address, a token and two certificates.
const maxAdminFile = 64 << 10

// adminFile is how programs on this machine find and trust the control plane; the client reads it.
type adminFile struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	CA    string `json:"ca"` // PEM bundle that the listener's certificate is checked against, and nothing else
}

// EnsureAdmin writes the local administrator's file (mode 0600) in dir, with a token that works: the one that is in it,
// else a new one. The file is proof enough of who asks: whoever can read the data directory owns the control plane. It
// returns the file's path and whether a new token was made.
func (a *Access) EnsureAdmin(ctx context.Context, dir, url string, ca []byte) (path string, made bool, err error) {
	path = filepath.Join(dir, AdminFile)
	have, err := readAdmin(path)
	if err != nil {
		return path, false, err
	}
	want := adminFile{URL: url, Token: have.Token, CA: string(ca)}
	if who, err := a.Authenticate(ctx, have.Token); err == nil && who.Role == Admin {
		if want == have {
			return path, false, nil
		}
		return path, false, writeAdmin(path, want)
	} else if err != nil && fault.CodeOf(err) != fault.Unauthenticated {
		return path, false, err
	}
	if _, err := a.AddUser(ctx, LocalAdmin, Admin, nil, "postseal"); err != nil && fault.CodeOf(err) != fault.Conflict {
		return path, false, err
	}
	text, token, err := a.AddToken(ctx, LocalAdmin, "local administrator, written by serve", 0, "postseal")
	if err != nil {
		return path, false, err
	}
	want.Token = text
	if err := writeAdmin(path, want); err != nil {
		return path, false, errors.Join(err, a.RevokeToken(ctx, token.ID, "postseal"))
	}
	return path, true, nil
}

// readAdmin returns the file, or nothing when there is none or it does not parse: it is only a copy.
func readAdmin(path string) (adminFile, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return adminFile{}, nil
	}
	if err != nil {
		return adminFile{}, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return adminFile{}, fault.New(fault.Invalid, "%s has mode %04o: others than its owner can read the administrator's token", path, info.Mode().Perm()).
			WithHint("if strangers may have read it, remove it and start again, then revoke the older token; else: chmod 600 %s", path)
	}
	if info.Size() > maxAdminFile {
		return adminFile{}, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return adminFile{}, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	var have adminFile
	if json.Unmarshal(content, &have) != nil {
		return adminFile{}, nil
	}
	return have, nil
}

func writeAdmin(path string, f adminFile) error {
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+AdminFile+".*") // mode 0600
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	defer os.Remove(tmp.Name()) // gone already when all goes well
	_, err = tmp.Write(append(content, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	return nil
}
