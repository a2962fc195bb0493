package intake

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// certificateLook is how often the files are looked at while connections come in.
const certificateLook = 10 * time.Second

// certificate is a certificate in files, read again when they change. It is safe for concurrent use.
type certificate struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	state  [2]fileState // of what is loaded
	warned [2]fileState // of what could not be loaded
	looked time.Time
}

type fileState struct {
	size int64
	at   time.Time
}

// newCertificate reads the files. Errors are fault.Invalid.
func newCertificate(cert, key string, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, now: now, log: log, looked: now()}
	c.state = c.states()
	loaded, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the certificate of the listener for reports cannot be read from %s and %s", cert, key).WithHint("both are PEM; the certificate's file holds those in between, too")
	}
	c.loaded = &loaded
	return c, nil
}

// states are those of the files; zero for one that cannot be looked at.
func (c *certificate) states() (out [2]fileState) {
	for i, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			out[i] = fileState{info.Size(), info.ModTime()}
		}
	}
	return out
}

// get returns the certificate as it is in the files now. When they changed and cannot be read, the one before stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificateLook {
		c.looked = now
		if s := c.states(); s != c.state {
			fresh, err := tls.LoadX509KeyPair(c.cert, c.key)
			switch {
			case err == nil:
				c.loaded, c.state = &fresh, s
				c.log.Info("the certificate of the listener for reports was read again", "certificate", c.cert)
			case s != c.warned: // it is tried again: one file may be there before the other
				c.warned = s
				c.log.Warn("the changed certificate of the listener for reports cannot be read; the one before stays", "certificate", c.cert, "error", err)
			}
		}
	}
	return c.loaded, nil
}
