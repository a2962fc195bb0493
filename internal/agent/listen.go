package agent

import (
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// listenSpec is one milter socket, checked.
type listenSpec struct {
	network  string // "unix" or "tcp"
	address  string // path, or host:port with a literal address
	outbound bool   // sign: outbound
	verify   bool   // what is not ours is verified
	mode     fs.FileMode
	group    string
	peers    []netip.Prefix
}

// signWord is sign: as the configuration says it.
func (l *listenSpec) signWord() string {
	if l.outbound {
		return signOutbound
	}
	return signAuto
}

// defaultSocketMode lets owner and group of a Unix socket connect: put the MTA's user into the group.
const defaultSocketMode = 0o660

// maxSocketPath is the length of a Unix socket's path that Linux takes.
const maxSocketPath = 107

func compileListeners(list []Listener) ([]listenSpec, error) {
	if len(list) > maxListeners {
		return nil, fault.New(fault.Invalid, "listeners: more than %d", maxListeners)
	}
	var out []listenSpec
	for i, l := range list {
		spec, err := l.compile()
		if err != nil {
			message, hint := fault.Show(err)
			return nil, fault.New(fault.Invalid, "listeners[%d]: %s", i, message).WithHint("%s", hint)
		}
		for _, other := range out {
			if other.address == spec.address && !strings.HasSuffix(spec.address, ":0") {
				return nil, fault.New(fault.Invalid, "listeners[%d]: %s is there twice", i, spec.address)
			}
		}
		out = append(out, spec)
	}
	return out, nil
}

func (l Listener) compile() (listenSpec, error) {
	spec := listenSpec{group: l.Group}
	var err error
	if spec.network, spec.address, err = parseListenAddress(l.Address); err != nil {
		return spec, err
	}
	switch l.Sign {
	case signOutbound:
		spec.outbound = true
	case signAuto:
	default:
		return spec, fault.New(fault.Invalid, "sign: %q is neither %s nor %s", l.Sign, signOutbound, signAuto).
			WithHint("outbound: everything that comes in here is ours; auto: mail of authenticated senders and what the section outbound names")
	}
	if spec.verify = l.Verify; spec.verify && spec.outbound {
		return spec, fault.New(fault.Invalid, "verify: with sign: outbound every message is ours, so that none is verified").
			WithHint("use sign: auto here, or verify on another listener")
	}
	for _, text := range l.Peers {
		p, err := parsePrefix(text)
		if err != nil {
			return spec, fault.New(fault.Invalid, "peers: %q is not an address or a network", text)
		}
		spec.peers = append(spec.peers, p)
	}
	if spec.network == "unix" {
		if len(l.Peers) > 0 {
			return spec, fault.New(fault.Invalid, "peers: a Unix socket has none; use mode and group")
		}
		spec.mode = defaultSocketMode
		if l.Mode != "" {
			mode, err := strconv.ParseUint(l.Mode, 8, 9)
			if err != nil || mode&0o111 != 0 {
				return spec, fault.New(fault.Invalid, "mode: %q is not a mode such as \"0660\"", l.Mode)
			}
			spec.mode = fs.FileMode(mode)
		}
		return spec, nil
	}
	if l.Mode != "" || l.Group != "" {
		return spec, fault.New(fault.Invalid, "mode and group are for Unix sockets only")
	}
	host := netip.MustParseAddrPort(spec.address).Addr()
	if !host.IsLoopback() && len(spec.peers) == 0 {
		return spec, fault.New(fault.Invalid, "address: %s is not on loopback", spec.address).
			WithHint("list the mail servers that may connect under peers:, because whoever reaches this port can have mail signed")
	}
	return spec, nil
}

// compileMetrics checks where numbers are served. Loopback alone needs no list of peers: the names of keys and domains are for those who run
// the server.
func compileMetrics(m Metrics) (*listenSpec, error) {
	if m.Address == "" {
		if len(m.Peers) > 0 {
			return nil, fault.New(fault.Invalid, "metrics: peers without an address").WithHint(`address: "127.0.0.1:9810"`)
		}
		return nil, nil
	}
	at, err := netip.ParseAddrPort(m.Address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "metrics.address: %q is not host:port with a literal address", m.Address).WithHint(`address: "127.0.0.1:9810"`)
	}
	spec := &listenSpec{network: "tcp", address: netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()}
	for _, text := range m.Peers {
		p, err := parsePrefix(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "metrics.peers: %q is not an address or a network", text)
		}
		spec.peers = append(spec.peers, p)
	}
	if !at.Addr().Unmap().IsLoopback() && len(spec.peers) == 0 {
		return nil, fault.New(fault.Invalid, "metrics.address: %s is not on loopback", m.Address).WithHint("list under metrics.peers who may read it")
	}
	return spec, nil
}

// parseListenAddress understands the notations of Postfix (inet:host:port, unix:/path), of sendmail (inet:port@host, local:/path),
// and host:port. Without a host it is loopback; names other than localhost are refused, because they can change.
func parseListenAddress(text string) (network, address string, err error) {
	bad := fault.New(fault.Invalid, "address: %q is not a milter address", text).WithHint("write unix:/path, inet:host:port, inet:port@host or host:port, with a literal address")
	kind, rest, ok := strings.Cut(text, ":")
	switch {
	case ok && (kind == "unix" || kind == "local"):
		if !filepath.IsAbs(rest) || len(rest) > maxSocketPath || strings.ContainsRune(rest, 0) {
			return "", "", fault.New(fault.Invalid, "address: %q is not an absolute path of at most %d octets", rest, maxSocketPath)
		}
		return "unix", filepath.Clean(rest), nil
	case ok && (kind == "inet" || kind == "inet6"):
	default:
		rest = text
	}
	var host, port string
	if p, h, ok := strings.Cut(rest, "@"); ok {
		host, port = strings.Trim(h, "[]"), p
	} else if h, p, err := net.SplitHostPort(rest); err == nil {
		host, port = h, p
	} else if rest != text {
		host, port = "", rest // inet:8891
	} else {
		return "", "", bad
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
		if kind == "inet6" {
			host = "::1"
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "", "", bad
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", bad
	}
	return "tcp", netip.AddrPortFrom(addr.Unmap(), uint16(n)).String(), nil
}
