package agent

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Probe says how probes get into this server's MTA: one of SMTP and Sendmail. Without either none are submitted.
type Probe struct {
	SMTP     string `yaml:"smtp"`     // host:port of a listener whose mail is ours; no TLS and no login, so a local one
	Sendmail string `yaml:"sendmail"` // path of the sendmail program
	From     string `yaml:"from"`     // local part of the author and the envelope sender; postmaster when it is not said
	Address  string `yaml:"address"`  // the only address, without token, that probes may go to; "" = the one that the control plane names
}

// DefaultProbeFrom exists in every domain (RFC 2142 §5), so that what bounces comes to somebody.
const DefaultProbeFrom = "postmaster"

// probeSettings is Probe, checked.
type probeSettings struct {
	Probe
	local, host string // of the only address; "" = any
}

func (p Probe) ready() bool { return p.SMTP != "" || p.Sendmail != "" }

func (p Probe) compile() (probeSettings, error) {
	s := probeSettings{Probe: p}
	if p.SMTP != "" && p.Sendmail != "" {
		return s, fault.New(fault.Invalid, "probe: name smtp or sendmail, not both")
	}
	if p.SMTP != "" {
		host, port, err := net.SplitHostPort(p.SMTP)
		n, wrong := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || wrong != nil || n == 0 {
			return s, fault.New(fault.Invalid, "probe.smtp: %q is not host:port", p.SMTP)
		}
	}
	if p.Sendmail != "" && !filepath.IsAbs(p.Sendmail) {
		return s, fault.New(fault.Invalid, "probe.sendmail: %q is not a complete path", p.Sendmail)
	}
	if s.From == "" {
		s.From = DefaultProbeFrom
	}
	if !isPlainLocal(s.From) {
		return s, fault.New(fault.Invalid, "probe.from: %q is not the part of an address before the @", s.From)
	}
	if p.Address != "" {
		local, host, ok := strings.Cut(strings.ToLower(p.Address), "@")
		name, err := resolver.ToASCII(host)
		if !ok || err != nil || !isPlainLocal(local) || strings.ContainsAny(name, "*/") {
			return s, fault.New(fault.Invalid, "probe.address: %q is not an address such as probe@reports.example.com", p.Address)
		}
		s.local, s.host = local, name
	}
	return s, nil
}

// isPlainLocal accepts local parts that need no quotes (RFC 5322 §3.2.3, without what shells and MTAs find a meaning in).
func isPlainLocal(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" &&
		!strings.HasPrefix(s, "-") && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".") && !strings.Contains(s, "..")
}

// probeToken is the length of a token: 128 bits in base32.
const probeToken = 26

// admits accepts a recipient of the form local+TOKEN@host in lower case, and only the configured one where there is one.
func (p probeSettings) admits(to string) bool {
	before, host, _ := strings.Cut(to, "@")
	local, token, found := strings.Cut(before, "+")
	if !found || !isPlainLocal(local) || len(token) != probeToken || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return false
	}
	if name, err := resolver.ToASCII(host); err != nil || name != host || strings.ContainsAny(host, "*/") || !strings.Contains(host, ".") {
		return false
	}
	return p.host == "" || p.host == host && p.local == local
}
