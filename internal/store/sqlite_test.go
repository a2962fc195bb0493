package store

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
)

func containsSecret(s string) bool { return strings.Contains(s, "secret") }

func hold(reason string) inventory.Hold {
	return inventory.Hold{Domain: testDomain, By: "ann", Reason: reason}
}

func TestSQLiteFilesAreOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new folder?#%", "data")
	s, err := Open(t.Context(), Options{Database: dir})
	must(t, err)
	defer s.Close()
	must(t, s.Journal(t.Context(), event("a line")))
	seen := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}))
	if seen < 2 {
		t.Errorf("%d files", seen)
	}
}

func TestSQLiteReadersCannotWrite(t *testing.T) {
	s, err := Open(t.Context(), Options{Database: t.TempDir()})
	must(t, err)
	defer s.Close()
	if _, err := s.reader.ExecContext(t.Context(), `UPDATE meta SET epoch = 9`); err == nil {
		t.Error("a reader wrote")
	}
	var enforced int
	must(t, s.writer.QueryRowContext(t.Context(), `PRAGMA foreign_keys`).Scan(&enforced))
	if enforced != 1 {
		t.Error("foreign keys are not enforced")
	}
}

func TestSQLiteDamagedFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, SQLiteFile), []byte(strings.Repeat("this is no database ", 100)), 0o600))
	_, err := Open(t.Context(), Options{Database: dir})
	if message, _ := fault.Show(err); fault.CodeOf(err) != fault.Unavailable || !strings.Contains(message, "damaged") {
		t.Errorf("%v", err)
	}
}

// TestOnlyPublicDataIsKept hands the store what comes near secrets and looks for it in the files, octet by octet.
func TestOnlyPublicDataIsKept(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Database: dir})
	must(t, err)
	ctx := t.Context()
	must(t, s.SaveInventory(ctx, "ann", 0, smallFleet()))
	k := newKey("key_1", "as_1", "a", "srv_1")
	k.Canary = "canary_1"
	withKey(t, s, k)
	const record, message = "v=DKIM1; k=rsa; p=PUBLICHALF", "Subject: the whole signed canary"
	r := reportOf(1, said("key_1", func(k *keyReport) {
		k.Has, k.Record, k.Canary, k.CanaryNonce = true, record, []byte(message), "canary_1"
	}))
	get[int64](t)(s.SaveReport(ctx, "srv_1", r))
	hash := []byte("hash of a join token's secret...")
	must(t, s.AddJoinToken(ctx, fleet.JoinToken{ID: "jt_1", SecretHash: hash, ServerID: "srv_1", MaxUses: 1}, event("token")))
	got := keyNow(t, s, "key_1")
	if got.Value != record || got.Holders[0].Value != record {
		t.Errorf("the public half: %+v", got)
	}
	if told := get[instructions](t)(s.Instructions(ctx, "srv_1")); told.Assignments[1].Keys[0].Record != record {
		t.Errorf("instructions: %+v", told)
	}
	must(t, s.Close())
	var all []byte
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, name := range files {
		raw, err := os.ReadFile(name)
		must(t, err)
		all = append(all, raw...)
	}
	if !bytes.Contains(all, []byte(record)) {
		t.Error("the public half is not in the files: this test sees nothing")
	}
	for _, secret := range []string{message, "PRIVATE KEY", string(hash)} {
		if bytes.Contains(all, []byte(secret)) {
			t.Errorf("%q is in the files", secret)
		}
	}
}
