package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/milter"
)

// socket is an open milter listener with its server.
type socket struct {
	spec   atomic.Pointer[listenSpec]
	addr   net.Addr
	server milter.Server

	eightBit atomic.Bool // 8-bit mail was signed
}

// warnEightBit says once what breaks the signatures of 8-bit mail.
func (s *socket) warnEightBit(log *slog.Logger, queueID string) {
	if s.eightBit.CompareAndSwap(false, true) {
		log.Warn("signed mail with 8-bit content: the signature breaks if this MTA converts it for receivers without 8BITMIME; Postfix leaves it alone with disable_mime_output_conversion = yes (said once for each listener)", "queue_id", queueID)
	}
}

// listen opens the socket and serves it until shutdown.
func (a *Agent) listen(ctx context.Context, spec listenSpec) (*socket, error) {
	ln, err := openListener(ctx, spec)
	if err != nil {
		return nil, err
	}
	s := &socket{addr: ln.Addr()}
	s.spec.Store(&spec)
	log := a.log.With("listener", ln.Addr().String())
	s.server = milter.Server{
		Options: func() milter.Options { return a.settings.Load().options(s.spec.Load()) },
		Permit:  s.permitted,
		Handler: func() milter.Handler {
			a.open.Add(1)
			return &session{agent: a, socket: s, log: log}
		},
		Log: log,
	}
	s.server.Start(ln)
	go func() {
		if err := s.server.Serve(); err != nil {
			log.Error("the listener stopped", "error", err)
			a.setCondition(conditionListener, "the listener at "+ln.Addr().String()+" stopped; restart the agent: "+err.Error())
		}
	}()
	return s, nil
}

// permitted says whether a peer may connect.
func (s *socket) permitted(addr net.Addr) bool {
	return permits(s.spec.Load().peers, addr.String())
}

// permits says whether a list of peers lets an address connect; without a list everybody may.
func permits(peers []netip.Prefix, address string) bool {
	if len(peers) == 0 {
		return true
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(peers, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func openListener(ctx context.Context, spec listenSpec) (net.Listener, error) {
	if spec.network == "unix" {
		if err := removeStale(ctx, spec.address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, spec.network, spec.address)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the milter cannot listen at %s: %s", spec.address, causeOf(err)).WithHint("is another agent or milter running there, and does the directory exist?")
	}
	if spec.network == "unix" {
		if err := secure(spec); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
	}
	return ln, nil
}

// secure gives a new Unix socket its group and mode. Until then the umask decides, which by custom lets nobody else write.
func secure(spec listenSpec) error {
	if spec.group != "" {
		gid, err := strconv.Atoi(spec.group)
		if err != nil {
			g, err := user.LookupGroup(spec.group)
			if err != nil {
				return fault.Wrap(fault.Invalid, err, "the group %q of %s does not exist", spec.group, spec.address)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
		if err := os.Chown(spec.address, -1, gid); err != nil {
			return fault.Wrap(fault.Invalid, err, "%s cannot be given to group %q", spec.address, spec.group).
				WithHint("the agent's user must be a member: SupplementaryGroups=%s in its unit", spec.group)
		}
	}
	if err := os.Chmod(spec.address, spec.mode); err != nil {
		return fault.Wrap(fault.Invalid, err, "the mode of %s cannot be set", spec.address)
	}
	return nil
}

// removeStale removes a Unix socket that nobody answers on. Anything else at that path stays.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.Conflict, "%s is there and is not a socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fault.New(fault.Conflict, "somebody listens at %s already", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fault.Wrap(fault.Conflict, err, "whether somebody listens at %s cannot be told", path)
	}
	return os.Remove(path)
}
