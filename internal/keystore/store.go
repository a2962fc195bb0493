package keystore

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/postseal/postseal/internal/fault"
)

// suffix of a sealed key's file.
const suffix = ".key"

// maxID is the longest id of a key in octets: any kind of UUID or hash in hexadecimal fits, and a file name holds it.
const maxID = 128

// Store is a directory of sealed keys. It is safe for concurrent use. Two processes may share a directory as long as they
// do not destroy each other's keys.
type Store struct {
	dir   string
	key   SealingKey
	write sync.Mutex // one writer at a time, because temporary files have fixed names

	clock        clock
	hits, misses atomic.Uint64
	buffers      sync.Pool // of *[maxSealed + 1]byte, for sealed files
}

// Open makes the directory (mode 0700) when it is not there. It does not read any key.
func Open(dir string, key SealingKey) (*Store, error) {
	if err := key.check(); err != nil {
		return nil, err
	}
	if err := ensureDir(dir); err != nil {
		return nil, err
	}
	return &Store{dir: dir, key: key, clock: clock{limit: maxCached}, buffers: sync.Pool{New: func() any { return new([maxSealed + 1]byte) }}}, nil
}

// Generate makes a key and stores it; when it returns without error the key survives a power cut. An id that is taken is
// fault.Conflict and its key stays as it is. RSA-4096 takes seconds.
func (s *Store) Generate(id, algorithm string) (crypto.PublicKey, error) {
	path, err := s.path(id)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fault.New(fault.Conflict, "key %s exists already and is not replaced", id)
	}
	key, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	if err := s.put(id, path, key); err != nil {
		return nil, err
	}
	return key.Public(), syncDir(s.dir)
}

// put seals a key under an id that is free.
func (s *Store) put(id, path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	sealed, err := s.key.sealFor(id, der)
	clear(der)
	if err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	return writeNew(path, sealed)
}

// Key returns the private key with that id, which h holds: parsed when it is not in memory and kept while it is among those in use. fault.NotFound when
// there is no such key, fault.Invalid when it does not open; a failure is not kept.
func (s *Store) Key(id string, h *Handle) (*Key, error) {
	if k := h.key.Load(); k != nil {
		s.hits.Add(1)
		if !h.used.Load() {
			h.used.Store(true)
		}
		return k, nil
	}
	h.loading.Lock()
	defer h.loading.Unlock()
	if k := h.key.Load(); k != nil {
		s.hits.Add(1)
		return k, nil
	}
	s.misses.Add(1)
	signer, err := s.Signer(id)
	if err != nil {
		return nil, err
	}
	k := &Key{Signer: signer}
	h.used.Store(false)
	h.key.Store(k)
	s.clock.add(id, h)
	return k, nil
}

// Lookups tells how often Key found its key in memory, and how often it had to read it.
func (s *Store) Lookups() (hits, misses uint64) { return s.hits.Load(), s.misses.Load() }

// Signer reads and parses a private key; errors as Key. Who signs with it often takes Key.
func (s *Store) Signer(id string) (crypto.Signer, error) {
	path, err := s.path(id)
	if err != nil {
		return nil, err
	}
	der, err := s.read(id, path)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return parseKey(id, der)
}

// Public returns the public half; errors as Signer.
func (s *Store) Public(id string) (crypto.PublicKey, error) {
	signer, err := s.Signer(id)
	if err != nil {
		return nil, err
	}
	return signer.Public(), nil
}

// Check says whether the key is there and opens, without parsing or keeping it; errors as Signer.
func (s *Store) Check(id string) error {
	path, err := s.path(id)
	if err != nil {
		return err
	}
	der, err := s.read(id, path)
	clear(der)
	return err
}

// Destroy overwrites and removes the key; a key that is not there is no error. Signers handed out before keep working: the
// caller sees to it that nobody uses one any more.
func (s *Store) Destroy(id string) error {
	path, err := s.path(id)
	if err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	defer s.clock.forget(id)
	if err := erase(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Unavailable, err, "key %s cannot be removed", id)
	}
	return nil
}

// List returns the ids of all keys in the directory, sorted, whether or not they open.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the key directory %s cannot be read", s.dir)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok && validID(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// read returns the PKCS#8 document of a key; the caller clears it.
func (s *Store) read(id, path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no key %s here", id)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "key %s cannot be read", id)
	}
	defer f.Close()
	buffer := s.buffers.Get().(*[maxSealed + 1]byte)
	defer s.buffers.Put(buffer)
	n, err := io.ReadFull(f, buffer[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fault.Wrap(fault.Unavailable, err, "key %s cannot be read", id)
	}
	if n > maxSealed {
		return nil, fault.New(fault.Invalid, "key %s: the file is longer than any sealed key", id)
	}
	return s.key.openFor(id, buffer[:n])
}

func (s *Store) path(id string) (string, error) {
	if !validID(id) {
		return "", fault.New(fault.Invalid, "%.200q is not the id of a key", id)
	}
	return filepath.Join(s.dir, id+suffix), nil
}

// validID limits ids to what is the same file name everywhere: no separator, no leading dot, nothing that differs by case only.
func validID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case (c == '-' || c == '_' || c == '.') && i > 0:
		default:
			return false
		}
	}
	return true
}
