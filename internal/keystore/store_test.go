package keystore

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

func testKey(t testing.TB, fill byte) SealingKey {
	t.Helper()
	k, err := NewSealingKey(bytes.Repeat([]byte{fill}, SealingKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func openStore(t testing.TB, dir string, fill byte) *Store {
	t.Helper()
	s, err := Open(dir, testKey(t, fill))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAKeyThatWasMadeSignsAfterARestart(t *testing.T) {
	for _, algorithm := range []string{RSA2048, Ed25519} {
		dir := filepath.Join(t.TempDir(), "keys")
		public, err := openStore(t, dir, 1).Generate("k-1", algorithm)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := openStore(t, dir, 1).Signer("k-1")
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("message"))
		switch public := public.(type) {
		case *rsa.PublicKey:
			signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil || rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) != nil {
				t.Errorf("%s: signature does not verify (%v)", algorithm, err)
			}
			if public.E != 65537 || public.Size() != 256 {
				t.Errorf("%s: e=%d, %d octets", algorithm, public.E, public.Size())
			}
		case ed25519.PublicKey:
			signature, err := signer.Sign(rand.Reader, digest[:], crypto.Hash(0))
			if err != nil || !ed25519.Verify(public, digest[:], signature) {
				t.Errorf("%s: signature does not verify (%v)", algorithm, err)
			}
		default:
			t.Errorf("%s: %T", algorithm, public)
		}
	}
}

func TestNothingReadableIsOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := openStore(t, dir, 1)
	if _, err := s.Generate("k", Ed25519); err != nil {
		t.Fatal(err)
	}
	signer, err := s.Signer("k")
	if err != nil {
		t.Fatal(err)
	}
	seed := signer.(ed25519.PrivateKey).Seed()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	content, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, seed) {
		t.Error("the private key is in the file in clear")
	}
	if info, _ := entries[0].Info(); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("directory mode %v", info.Mode())
	}
}

func TestAKeyIsNeverReplaced(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "keys"), 1)
	before, err := s.Generate("k", Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Generate("k", Ed25519); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("second Generate: %v", err)
	}
	// The same when the two race each other past the first look.
	if err := writeNew(filepath.Join(s.dir, "k"+suffix), []byte("other")); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("writeNew over a key: %v", err)
	}
	after, err := openStore(t, s.dir, 1).Public("k")
	if err != nil || !before.(ed25519.PublicKey).Equal(after) {
		t.Errorf("the key changed (%v)", err)
	}
}

func TestFilesThatDoNotOpenSayWhy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := openStore(t, dir, 1)
	if _, err := s.Generate("good", Ed25519); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, "good.key"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"renamed":  {good, "belongs to another key"},
		"flipped":  {flipped, "was changed"},
		"cut":      {good[:20], "cut off"},
		"empty":    {nil, "not a sealed key"},
		"foreign":  {[]byte("-----BEGIN PRIVATE KEY-----"), "not a sealed key"},
		"enormous": {bytes.Repeat(good, 400), "longer than"},
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".key"), c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Signer(name)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if check := s.Check(name); check == nil || check.Error() != err.Error() {
			t.Errorf("%s: Check says %v, Signer %v", name, check, err)
		}
	}
	_, err = openStore(t, dir, 2).Signer("good")
	if message, hint := fault.Show(err); !strings.Contains(message, "another sealing key") || hint == "" {
		t.Errorf("wrong sealing key: %v, %q", err, hint)
	}
	if _, err := s.Signer("missing"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("missing: %v", err)
	}
	if err := s.Check("good"); err != nil {
		t.Errorf("good: %v", err)
	}
}

func TestIDsCannotLeaveTheDirectory(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "keys"), 1)
	for _, id := range []string{"", ".", "..", "../x", "a/b", "A", "a\x00", ".hidden", "é", strings.Repeat("a", maxID+1)} {
		if _, err := s.Generate(id, Ed25519); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("Generate(%q): %v", id, err)
		}
		if _, err := s.Signer(id); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("Signer(%q): %v", id, err)
		}
		if err := s.Destroy(id); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("Destroy(%q): %v", id, err)
		}
	}
	if _, err := s.Generate("k", "rsa1024"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("rsa1024: %v", err)
	}
	if ids, err := s.List(); err != nil || len(ids) != 0 {
		t.Errorf("List: %v, %v", ids, err)
	}
}

func TestDestroyLeavesNothing(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "keys"), 1)
	for _, id := range []string{"b", "a"} {
		if _, err := s.Generate(id, Ed25519); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Signer(id); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := s.List(); err != nil || strings.Join(ids, " ") != "a b" {
		t.Fatalf("List: %v, %v", ids, err)
	}
	held, err := os.Open(filepath.Join(s.dir, "a.key"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for range 2 { // the second time it is not there, which is what was wanted
		if err := s.Destroy("a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Signer("a"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("Signer after Destroy: %v", err)
	}
	content := make([]byte, len(magic))
	if _, err := held.ReadAt(content, 0); err != nil || string(content) == magic {
		t.Errorf("the file was unlinked without being overwritten: %q, %v", content, err)
	}
	if ids, _ := s.List(); strings.Join(ids, " ") != "b" {
		t.Errorf("List: %v", ids)
	}
}

func TestKeysInMemoryAreBoundedAndReadOnce(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "keys"), 1)
	s.clock.limit = 2
	handles := map[string]*Handle{}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := s.Generate(id, Ed25519); err != nil {
			t.Fatal(err)
		}
		handles[id] = new(Handle)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Key("a", handles["a"]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if hits, misses := s.Lookups(); hits != 19 || misses != 1 {
		t.Errorf("20 at the same time: %d found it, %d read it", hits, misses)
	}
	for _, c := range []struct {
		id   string
		read bool
	}{{"b", true}, {"a", false}, {"c", true}, {"a", false}, {"b", true}} { // b was not used since it came, a was
		_, before := s.Lookups()
		k, err := s.Key(c.id, handles[c.id])
		if err != nil {
			t.Fatal(err)
		}
		if _, after := s.Lookups(); (after > before) != c.read {
			t.Errorf("%s: read %t, want %t", c.id, after > before, c.read)
		}
		digest := sha256.Sum256(nil)
		if _, err := k.Sign(rand.Reader, digest[:], crypto.Hash(0)); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		held := 0
		for _, h := range handles {
			if h.key.Load() != nil {
				held++
			}
		}
		if held > 2 {
			t.Errorf("%d keys in memory", held)
		}
	}
	if err := s.Destroy("b"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Key("b", handles["b"]); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("after Destroy: %v", err)
		}
	}
}

func TestSealingKeySources(t *testing.T) {
	dir := t.TempDir()
	raw := bytes.Repeat([]byte{7}, SealingKeySize)
	write := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	want, err := NewSealingKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	hexadecimal := []byte(strings.Repeat("07", SealingKeySize) + "\n")
	for _, path := range []string{write("raw", raw, 0o600), write("hex", hexadecimal, 0o400)} {
		k, err := ReadSealingKeyFile(path)
		if err != nil || k.String() != want.String() {
			t.Errorf("%s: %v, %v", path, k, err)
		}
	}
	for _, c := range []struct{ path, want string }{
		{write("group", raw, 0o640), "mode 0640"},
		{write("other", raw, 0o604), "mode 0604"},
		{write("short", raw[:31], 0o600), "neither"},
		{write("long", append(raw, 7), 0o600), "neither"},
		{filepath.Join(dir, "missing"), "no sealing key"},
		{dir, "not a file"},
	} {
		if _, err := ReadSealingKeyFile(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}

	t.Setenv(CredentialsDirectory, "")
	if _, err := ReadCredential("sealing"); err == nil || !strings.Contains(err.Error(), CredentialsDirectory) {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv(CredentialsDirectory, dir)
	write("credential", raw, 0o440) // as systemd does with an ACL
	if k, err := ReadCredential("credential"); err != nil || k.String() != want.String() {
		t.Errorf("credential: %v, %v", k, err)
	}
	if _, err := ReadCredential("../" + filepath.Base(dir) + "/raw"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a path as the credential's name: %v", err)
	}

	made := filepath.Join(dir, "made")
	k, err := CreateSealingKeyFile(made)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ReadSealingKeyFile(made); err != nil || again.String() != k.String() {
		t.Errorf("made: %v, %v", again, err)
	}
	if _, err := CreateSealingKeyFile(made); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("over an existing sealing key: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "keys"), SealingKey{}); err == nil {
		t.Error("opened without a sealing key")
	}
	wide := filepath.Join(dir, "wide")
	if err := os.Mkdir(wide, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(wide, k); err == nil || !strings.Contains(err.Error(), "0755") {
		t.Errorf("a directory open to others: %v", err)
	}
}

func TestASealedFileOpensUnderItsIDOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := openStore(t, dir, 1)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file, content, err := testKey(t, 1).Sealed("k", der)
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]string{file: "k", "other" + suffix: "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		public, err := s.Public(id)
		if good := err == nil && private.Public().(ed25519.PublicKey).Equal(public); good != (id == "k") {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, _, err := testKey(t, 1).Sealed("../k", der); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a path as the id: %v", err)
	}
}
