package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// mailbox is a mailbox on an IMAP server. Every message in it is taken, seen or not, and then moved away.
type mailbox struct {
	in    *Intake
	p     *progress
	cfg   Mailbox
	wait  retry
	place string

	// What is remembered of messages that are still in the mailbox. Their numbers hold as long as validity.
	validity uint32
	taken    map[imap.UID]outcome   // stored, not moved yet
	later    map[imap.UID]time.Time // not before then
}

func newMailbox(in *Intake, cfg Mailbox) (*mailbox, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if _, err := roots(cfg.Roots); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "mailbox %s: the certificate authorities cannot be read: %v", cfg.User, err)
	}
	place := fmt.Sprintf("%s at %s, %s", cfg.User, cfg.Address, cfg.Name)
	return &mailbox{in: in, cfg: cfg, place: place, wait: retry{first: firstRetry, last: lastRetry}, p: newProgress(report.ByIMAP, place, in.now)}, nil
}

func (m *mailbox) progress() *progress { return m.p }

// run keeps a connection until ctx ends. After trouble it waits longer each time.
func (m *mailbox) run(ctx context.Context) error {
	for {
		err := m.session(ctx)
		m.p.up(false)
		if ctx.Err() != nil {
			return nil
		}
		m.p.trouble(err)
		m.in.log.Warn("a mailbox cannot be taken", "mailbox", m.place, "error", err)
		if !m.wait.after(ctx, err) {
			return nil
		}
	}
}

// session is one connection. It returns with an error.
func (m *mailbox) session(ctx context.Context) error {
	c, err := dialIMAP(ctx, &m.cfg)
	if err != nil {
		return err
	}
	defer c.close()
	return c.withoutSecret(m.serve(ctx, c))
}

// serve takes what is in the mailbox, and what comes, until the connection ends.
func (m *mailbox) serve(ctx context.Context, c *imapConn) error {
	m.p.up(true)
	m.p.count(func(n *Counts) { n.Connections++ })
	if m.taken == nil || m.validity != c.validity { // the numbers mean other messages now; what is taken twice, the storage knows
		m.validity, m.taken, m.later = c.validity, map[imap.UID]outcome{}, map[imap.UID]time.Time{}
	}
	for {
		select { // what is new before the search, the search finds
		case <-c.changed:
		default:
		}
		more, err := m.round(ctx, c)
		if err != nil {
			return err
		}
		m.p.well(false)
		m.wait.next = 0
		if more {
			continue
		}
		if err := c.wait(ctx, m.cfg.Poll); err != nil {
			return err
		}
	}
}

// round takes what is in the mailbox. more = there may be more than was listed.
func (m *mailbox) round(ctx context.Context, c *imapConn) (more bool, err error) {
	uids, err := c.list(ctx)
	if err != nil {
		return false, err
	}
	m.forget(uids)
	moved := 0
	for batch := range slices.Chunk(uids, mailboxBatch) {
		batch = slices.DeleteFunc(slices.Clone(batch), func(uid imap.UID) bool { return m.in.now().Before(m.later[uid]) })
		if len(batch) == 0 {
			continue
		}
		sizes, err := c.sizes(ctx, batch)
		if err != nil {
			return false, err
		}
		takeError := m.take(ctx, c, batch, sizes)
		n, moveError := m.move(ctx, c, batch)
		if moved += n; takeError != nil || moveError != nil {
			return false, errors.Join(takeError, moveError)
		}
	}
	return len(uids) == maxListed && moved > 0, nil
}

// forget drops what is remembered of messages that are not there any more.
func (m *mailbox) forget(uids []imap.UID) {
	if len(uids) == maxListed {
		return // not all were listed
	}
	gone := func(uid imap.UID) bool { _, found := slices.BinarySearch(uids, uid); return !found }
	for uid := range m.taken {
		if gone(uid) {
			delete(m.taken, uid)
		}
	}
	for uid := range m.later {
		if gone(uid) {
			delete(m.later, uid)
		}
	}
}

// take stores the messages of a batch. The first trouble that is not of one message ends it.
func (m *mailbox) take(ctx context.Context, c *imapConn, batch []imap.UID, sizes map[imap.UID]int64) error {
	for _, uid := range batch {
		if ctx.Err() != nil { // before a command that would end the connection, which moving still needs
			return ctx.Err()
		}
		size, there := sizes[uid]
		if _, done := m.taken[uid]; done || !there {
			continue
		}
		as, err := m.takeOne(ctx, c, uid, size)
		var fast *tooFast
		switch {
		case errors.Is(err, errGone):
			continue
		case errors.As(err, &fast):
			m.later[uid] = m.in.now().Add(fast.wait)
			continue
		case err != nil && ctx.Err() == nil && never(err):
			m.in.log.Warn("a message is not taken", "mailbox", m.place, "uid", uid, "error", err)
			as = unread
		case err != nil:
			return err
		}
		m.taken[uid] = as
	}
	return nil
}

var errGone = errors.New("intake: the message is gone")

func (m *mailbox) takeOne(ctx context.Context, c *imapConn, uid imap.UID, size int64) (outcome, error) {
	if size > maxInput {
		m.p.count(func(n *Counts) { n.Refused++ })
		return 0, errTooLarge
	}
	held := size
	done, err := m.in.room.wait(ctx, held)
	if err != nil {
		return 0, err
	}
	defer func() { done() }()
	octets, err := c.fetch(ctx, uid, func(size int64) error {
		if size <= held {
			return nil
		}
		more, err := m.in.room.more(size, size-held)
		if err == nil {
			first := done
			held, done = size, func() { more(); first() }
		}
		return err
	})
	switch {
	case errors.Is(err, errTooLarge):
		m.p.count(func(n *Counts) { n.Refused++ })
		return 0, errTooLarge
	case err != nil:
		return 0, err
	case octets == nil:
		return 0, errGone
	}
	return m.in.take(ctx, m.p, &input{way: report.ByIMAP, place: m.place, octets: octets, mail: octets, at: m.in.now()})
}

// move moves what is stored, even when ctx has ended: else it would be taken once more.
func (m *mailbox) move(ctx context.Context, c *imapConn, batch []imap.UID) (moved int, err error) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
	}
	for _, to := range []struct {
		as   outcome
		name string
	}{{stored, c.done}, {unread, c.unread}} {
		var uids []imap.UID
		for _, uid := range batch {
			if as, done := m.taken[uid]; done && as == to.as {
				uids = append(uids, uid)
			}
		}
		if len(uids) == 0 {
			continue
		}
		if err := c.move(ctx, uids, to.name); err != nil {
			return moved, fmt.Errorf("messages that are stored cannot be moved to %s: %w", to.name, err)
		}
		moved += len(uids)
		for _, uid := range uids {
			delete(m.taken, uid)
		}
	}
	return moved, nil
}
