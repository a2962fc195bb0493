package intake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postseal/postseal/internal/fault"
)

// imapConn is a connection to an IMAP server with the mailbox selected. It is for one goroutine.
type imapConn struct {
	wire     *limitedConn
	client   *imapclient.Client
	changed  chan struct{} // the server told of new messages
	validity uint32        // UIDVALIDITY: UIDs mean the same messages as long as it stays
	secret   string        // the password or the access token; only to be kept out of what is told
	done     string        // mailboxes, as this server names them
	unread   string
}

// limitedConn bounds what the server may send for one command. Package imapclient reads answers of any size into memory.
type limitedConn struct {
	net.Conn
	mu   sync.Mutex
	left int64
}

func (c *limitedConn) allow(octets int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = octets
}

func (c *limitedConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	left := c.left
	c.mu.Unlock()
	if left <= 0 {
		return 0, errors.New("the server sends more than any answer has")
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), left)])
	c.mu.Lock()
	c.left -= int64(n)
	c.mu.Unlock()
	return n, err
}

// within runs a command. When it takes too long, or ctx ends, the connection is closed, since nothing else ends it.
func (c *limitedConn) within(ctx context.Context, d time.Duration, octets int64, command func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	c.allow(octets)
	defer context.AfterFunc(ctx, func() { _ = c.Conn.Close() })()
	err := command()
	switch {
	case ctx.Err() == context.DeadlineExceeded && err != nil:
		return fmt.Errorf("no answer within %s", d)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// dialIMAP connects, logs in, makes the mailboxes for what is done, and selects the mailbox. An access token that had been kept and is refused is got anew, once.
func dialIMAP(ctx context.Context, cfg *Mailbox) (*imapConn, error) {
	c, fresh, err := dialOnce(ctx, cfg)
	var refused *refusedToken
	if errors.Is(err, errUnchecked) {
		cfg.OAuth.Forget() // Dovecot says the same of a token that has ended, with some authorities
	}
	if !errors.As(err, &refused) {
		return c, err
	}
	cfg.OAuth.Forget() // also one that was fresh: rights may be granted before the next try, and they are in the token
	if !fresh {
		if c, _, err = dialOnce(ctx, cfg); errors.As(err, &refused) {
			cfg.OAuth.Forget()
		}
	}
	if errors.As(err, &refused) {
		return nil, fault.New(fault.Denied, "no login: %s", refused).WithHint("check that USER is the mailbox's address and that the application of %s may open it (docs/reports.md)", cfg.OAuth)
	}
	return c, err
}

// dialOnce is one try; fresh = the access token was got for it.
func dialOnce(ctx context.Context, cfg *Mailbox) (_ *imapConn, fresh bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	c := &imapConn{changed: make(chan struct{}, 1)}
	trouble := func(what string, err error) error {
		var told *fault.Error
		var refused *refusedToken
		if errors.As(err, &told) || errors.As(err, &refused) {
			return err
		}
		return fault.New(fault.Unavailable, "%s: %v", what, err)
	}
	if cfg.OAuth != nil {
		c.secret, fresh, err = cfg.OAuth.Token(ctx)
	} else {
		c.secret, err = cfg.Password.Secret()
	}
	if err != nil {
		return nil, fresh, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, fresh, trouble("no connection", err)
	}
	c.wire = &limitedConn{Conn: conn}
	if err := c.wire.within(ctx, connectTime, maxAnswer, func() error { return c.open(ctx, cfg) }); err != nil {
		_ = conn.Close()
		return nil, fresh, trouble("no login", c.withoutSecret(err))
	}
	if err := c.wire.within(ctx, connectTime, maxAnswer, func() error { return c.choose(cfg) }); err != nil {
		c.close()
		err = c.withoutSecret(err)
		if cfg.OAuth != nil && strings.Contains(err.Error(), "authenticated but not connected") { // so Exchange Online says it
			return nil, fresh, fault.New(fault.Denied, "the server takes the access token, and does not open the mailbox of %.100s for it", cfg.User).
				WithHint("allow the application the mailbox: Add-MailboxPermission with FullAccess (docs/reports.md)")
		}
		return nil, fresh, trouble("its mailboxes cannot be used", err)
	}
	return c, fresh, nil
}

// open greets and logs in.
func (c *imapConn) open(ctx context.Context, cfg *Mailbox) (err error) {
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return err
	}
	security := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"imap"}}
	if security.RootCAs, err = roots(cfg.Roots); err != nil {
		return err
	}
	options := &imapclient.Options{TLSConfig: security, UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(data *imapclient.UnilateralDataMailbox) {
		if data.NumMessages != nil {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		}
	}}}
	switch cfg.Encryption {
	case ImplicitTLS:
		t := tls.Client(c.wire, security)
		if err := t.HandshakeContext(ctx); err != nil {
			return err
		}
		c.client = imapclient.New(t, options)
	case StartTLS:
		if c.client, err = imapclient.NewStartTLS(c.wire, options); err != nil {
			return err
		}
	default:
		c.client = imapclient.New(c.wire, options)
	}
	if err := c.client.WaitGreeting(); err != nil {
		return err
	}
	if cfg.OAuth != nil {
		login, err := newBearer(c.client.Caps(), cfg.User, cfg.Address, c.secret)
		if err != nil {
			return err
		}
		return login.explain(c.client.Authenticate(login))
	}
	if c.client.Caps().Has(imap.CapLoginDisabled) {
		return errors.New("the server allows no login over this connection")
	}
	return c.client.Login(cfg.User, c.secret).Wait()
}

// withoutSecret keeps a password or token out of logs, whatever the server says.
func (c *imapConn) withoutSecret(err error) error {
	if err != nil && c.secret != "" && strings.Contains(err.Error(), c.secret) {
		return errors.New("the server repeats the password or the access token")
	}
	return err
}

func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", file)
	}
	return pool, nil
}

// choose makes what is missing and selects the mailbox.
func (c *imapConn) choose(cfg *Mailbox) error {
	prefix := ""
	if c.client.Caps().Has(imap.CapNamespace) {
		if spaces, err := c.client.Namespace().Wait(); err == nil && len(spaces.Personal) > 0 {
			prefix = spaces.Personal[0].Prefix // "INBOX." where everything hangs below it
		}
	}
	for _, box := range []struct {
		name string
		into *string
	}{{cfg.Done, &c.done}, {cfg.Unread, &c.unread}} {
		*box.into = box.name
		if prefix != "" && !strings.HasPrefix(box.name, prefix) {
			*box.into = prefix + box.name
		}
		found, err := c.client.List("", *box.into, nil).Collect()
		if err != nil {
			return err
		}
		if len(found) > 0 {
			continue
		}
		err = c.client.Create(*box.into, nil).Wait()
		var answer *imap.Error
		if err != nil && !(errors.As(err, &answer) && answer.Code == imap.ResponseCodeAlreadyExists) { // another replica made it meanwhile
			return fmt.Errorf("%s cannot be made: %w", *box.into, err)
		}
	}
	selected, err := c.client.Select(cfg.Name, nil).Wait()
	if err != nil {
		return err
	}
	c.validity = selected.UIDValidity
	return nil
}

// close ends the connection, in good order if the server plays along.
func (c *imapConn) close() {
	_ = c.wire.within(context.Background(), time.Second, maxAnswer, func() error { return c.client.Logout().Wait() })
	_ = c.client.Close()
}

// list returns messages that nobody deleted, the oldest first, at most maxListed.
func (c *imapConn) list(ctx context.Context) (uids []imap.UID, err error) {
	err = c.wire.within(ctx, commandTime, maxAnswer, func() error {
		found, err := c.client.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagDeleted}}, nil).Wait()
		if err != nil {
			return err
		}
		set, _ := found.All.(imap.UIDSet)
		for _, r := range set { // ranges may be wide, and the server's word is all that we have
			for uid := r.Start; uid != 0 && uid <= r.Stop && len(uids) < maxListed; uid++ {
				uids = append(uids, uid)
			}
		}
		slices.Sort(uids)
		return nil
	})
	return uids, err
}

// sizes returns the sizes of messages in octets; those that are gone are missing.
func (c *imapConn) sizes(ctx context.Context, uids []imap.UID) (map[imap.UID]int64, error) {
	out := map[imap.UID]int64{}
	err := c.wire.within(ctx, commandTime, maxAnswer, func() error {
		found, err := c.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, RFC822Size: true}).Collect()
		for _, m := range found {
			out[m.UID] = m.RFC822Size
		}
		return err
	})
	return out, err
}

// fetch returns a message; nil = it is gone. It is not marked as seen. Servers that compute sizes only roughly send more than they said: room is asked whether there is that much.
func (c *imapConn) fetch(ctx context.Context, uid imap.UID, room func(octets int64) error) (octets []byte, err error) {
	err = c.wire.within(ctx, fetchTime, maxAnswer, func() error {
		command := c.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
		for message := command.Next(); message != nil; message = command.Next() {
			for item := message.Next(); item != nil; item = message.Next() {
				section, ok := item.(imapclient.FetchItemDataBodySection)
				if !ok || section.Literal == nil || octets != nil {
					continue
				}
				size := section.Literal.Size()
				if err := room(size); err != nil {
					_ = c.wire.Close() // the rest is not wanted, and the library reads it
					_ = command.Close()
					return err
				}
				c.wire.allow(size + size/8 + maxAnswer) // with what TLS adds
				octets = make([]byte, size)
				if _, err := io.ReadFull(section.Literal, octets); err != nil {
					_ = c.wire.Close()
					return err // without closing the command: behind an error the library reads by itself, and twice at once is a race
				}
			}
		}
		return command.Close()
	})
	return octets, err
}

// move moves messages to another mailbox. Without MOVE (RFC 6851) they are copied first, and marked only when that went well; the library would not wait.
func (c *imapConn) move(ctx context.Context, uids []imap.UID, to string) error {
	set := imap.UIDSetNum(uids...)
	return c.wire.within(ctx, commandTime, maxAnswer, func() error {
		if c.client.Caps().Has(imap.CapMove) {
			_, err := c.client.Move(set, to).Wait()
			return err
		}
		if _, err := c.client.Copy(set, to).Wait(); err != nil {
			return err
		}
		if err := c.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
			return err
		}
		if !c.client.Caps().Has(imap.CapUIDPlus) {
			return nil // EXPUNGE would remove what others marked
		}
		return c.client.UIDExpunge(set).Close()
	})
}

// wait waits until there may be something new: the server says so, or poll has passed.
func (c *imapConn) wait(ctx context.Context, poll time.Duration) error {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	var idle *imapclient.IdleCommand
	if c.client.Caps().Has(imap.CapIdle) {
		if err := c.wire.within(ctx, commandTime, maxAnswer, func() (err error) { idle, err = c.client.Idle(); return err }); err != nil {
			return err
		}
	}
	var ended error
	select {
	case <-c.changed:
	case <-timer.C:
	case <-ctx.Done():
		ended = ctx.Err()
	case <-c.client.Closed():
		ended = errors.New("the server closed the connection")
	}
	if idle == nil {
		return ended
	}
	// Not ctx: the connection is still needed for a good end.
	err := c.wire.within(context.WithoutCancel(ctx), stopTime, maxAnswer, func() error { return errors.Join(idle.Close(), idle.Wait()) })
	return errors.Join(ended, err)
}
