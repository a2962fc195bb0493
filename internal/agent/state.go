package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// Files in the state directory. None holds a private key; those are sealed in keys/ and identity/.
const (
	fileLock         = "lock"
	fileIdentity     = "identity.json"
	fileInstructions = "instructions.json" // the last instructions that were applied
	fileFacts        = "facts.json"        // what else must survive
	fileCounters     = "counters.json"
	fileMTALog       = "mta_log.json" // where the MTA's log was left, and what receivers refused
	fileProbes       = "probes.json"
	dirKeys          = "keys"
	dirIdentity      = "identity"
)

// maxStateFile is the largest state file that is read: instructions are bounded by the contract, indentation is not used.
const maxStateFile = 2 * agentapi.MaxMessage

// facts are what facts.json says beside the keys.
type facts struct {
	Installation string    `json:"installation"`
	Epoch        int64     `json:"epoch"`  // the highest that was seen
	Joined       time.Time `json:"joined"` // identity that the two above belong to
}

// lockState makes sure that one process uses a state directory. The lock ends with the process.
func lockState(dir string) (io.Closer, error) {
	path := filepath.Join(dir, fileLock)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, syscall.EROFS) { // what is there is enough to sign
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the state directory %s cannot be used: %s", dir, causeOf(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fault.Wrap(fault.Conflict, err, "another agent uses %s", dir)
	}
	return f, nil
}

// readState decodes a state file; ok is false when it is not there. A file that cannot be read is fault.Invalid.
func readState(dir, name string, into any) (ok bool, err error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxStateFile+1))
	if err == nil && len(content) > maxStateFile {
		err = errors.New("too large")
	}
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		return false, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	return true, nil
}

// writeState replaces a state file, so that after a power cut it holds the old content or the new.
func writeState(dir, name string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return replaceState(dir, name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// replaceState is writeState for content that is written piece by piece.
func replaceState(dir, name string, write func(io.Writer) error) error {
	path := filepath.Join(dir, name)
	f, err := os.CreateTemp(dir, "."+name+".*") // mode 0600
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s cannot be written", path)
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, jsonBuffer)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDirectory(dir)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s cannot be written", path)
	}
	return nil
}

// streamState reads a state file value by value; ok is false when it is not there. A file that cannot be read is fault.Invalid.
func streamState(dir, name string, read func(*jsonReader)) (ok bool, err error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		defer f.Close()
		j := newJSONReader(f)
		read(j)
		err = j.err
	}
	if err != nil {
		return false, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	return true, nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
