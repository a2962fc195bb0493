package agent

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
	"github.com/postseal/postseal/internal/resolver"
)

// Defaults and limits of agent.yaml.
const (
	DefaultStateDirectory = "/var/lib/postseal-agent"
	DefaultSealingKeyFile = "/etc/postseal/sealing.key" // not in the state directory, so that a backup of that alone is worth nothing
	DefaultMaxMessages    = 1000                        // Postfix's own limit of processes is 100; each message here holds a few kB
	maxMessages           = 100_000                     // times 256 kB of header is what would have to fit in memory
	maxConfig             = 1 << 20                     // octets of agent.yaml: ten thousand allowed domains fit
	maxListeners          = 64
)

// Config is agent.yaml. The zero value of a field is its default. Paths that the control plane could name do not exist on purpose:
// sockets, credentials and files come from here only.
type Config struct {
	StateDirectory string     `yaml:"state_directory"` // keys, identity, last instructions, counters
	StatusSocket   string     `yaml:"status_socket"`   // Unix socket for `agent status`; "" = status.sock in the state directory; "off"
	SealingKey     SealingKey `yaml:"sealing_key"`
	Listeners      []Listener `yaml:"listeners"`
	Outbound       Outbound   `yaml:"outbound"`
	Rules          []Rule     `yaml:"rules"`        // exceptions; the first that matches counts
	Stream         Stream     `yaml:"stream"`       // what names a message's stream
	Mismatch       Mismatch   `yaml:"mismatch"`     // authors that fit neither envelope nor login
	Logins         Logins     `yaml:"logins"`       // which login may sign for which domain
	Verify         Verify     `yaml:"verify"`       // mail that is not ours, on listeners with verify: true
	Probe          Probe      `yaml:"probe"`        // how test messages are submitted
	Domains        []string   `yaml:"domains"`      // the only domains that may be signed for; empty = all that are assigned
	Resolver       []string   `yaml:"resolver"`     // recursive servers, ADDR:PORT; empty = the system's
	CheckRecord    string     `yaml:"check_record"` // before_first_use (default) or off
	LongLines      string     `yaml:"long_lines"`   // skip (default) or sign
	MaxMessages    int        `yaml:"max_messages"` // messages held at once; further ones are not signed
	MTALog         MTALog     `yaml:"mta_log"`      // the MTA's log, for what receivers refuse
	Metrics        Metrics    `yaml:"metrics"`
	Log            Log        `yaml:"log"`
}

// SealingKey says where the sealing key of the private keys is: a systemd credential or a file, not both.
type SealingKey struct {
	Credential string `yaml:"credential"`
	File       string `yaml:"file"`
}

// Listener is one milter socket.
type Listener struct {
	Address string   `yaml:"address"` // unix:/path, inet:host:port, inet:port@host, host:port
	Sign    string   `yaml:"sign"`    // outbound: everything that comes in here is ours; auto: what Outbound says
	Verify  bool     `yaml:"verify"`  // mail that is not ours is verified
	Mode    string   `yaml:"mode"`    // of a Unix socket, octal; "0660" when empty
	Group   string   `yaml:"group"`   // of a Unix socket; empty = the process's
	Peers   []string `yaml:"peers"`   // who may connect over TCP; needed beyond loopback
}

// Outbound says which mail on listeners with sign: auto is ours, beside that of authenticated senders.
type Outbound struct {
	Listeners []string         `yaml:"listeners"` // values of the macro {daemon_name}
	Networks  []string         `yaml:"networks"`  // client addresses; never loopback
	Macros    map[string]Words `yaml:"macros"`    // other macros, at MAIL, and the values that make a message ours
}

// Metrics says where numbers for Prometheus are served, at /metrics.
type Metrics struct {
	Address string   `yaml:"address"` // host:port with a literal address; empty = nowhere
	Peers   []string `yaml:"peers"`   // who may read them; needed beyond loopback
}

// Log says how the agent logs to standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info (default), warn, error
	Format string `yaml:"format"` // text (default) or json
}

// The words of the configuration.
const (
	signOutbound = "outbound"
	signAuto     = "auto"

	checkFirstUse = "before_first_use"
	checkOff      = "off"

	longSkip = "skip"
	longSign = "sign"

	statusOff = "off"
)

// LoadConfig reads and checks agent.yaml. Errors are fault.Invalid and name line and column where the file is not YAML or has a key
// that does not exist.
func LoadConfig(path string) (Config, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fault.Wrap(fault.NotFound, err, "there is no %s", path).WithHint("an example lies beside the systemd unit; name another file with --config")
	}
	if err == nil && info.Size() > maxConfig {
		return Config{}, fault.New(fault.Invalid, "%s is larger than %d octets", path, maxConfig)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
	}
	cfg, err := ParseConfig(content)
	if err != nil {
		message, hint := fault.Show(err)
		return Config{}, fault.New(fault.Invalid, "%s: %s", path, message).WithHint("%s", hint)
	}
	return cfg, nil
}

// ParseConfig reads and checks the content of agent.yaml; errors as LoadConfig.
func ParseConfig(content []byte) (Config, error) {
	var cfg Config
	if len(strings.TrimSpace(string(content))) > 0 {
		if err := yaml.UnmarshalWithOptions(content, &cfg, yaml.Strict()); err != nil {
			f := fault.New(fault.Invalid, "%s", readable(strings.TrimSpace(yaml.FormatError(err, false, true))))
			if meant := meantKey(err); meant != "" {
				f = f.WithHint("did you mean %q?", meant)
			}
			return Config{}, f
		}
	}
	if _, err := compile(cfg); err != nil {
		return Config{}, ruleLine(content, err)
	}
	return cfg, nil
}

// meantKey is the key of agent.yaml that is nearest to an unknown one; "" = none is near, or the error is another.
func meantKey(err error) string {
	var unknown *yaml.UnknownFieldError
	if !errors.As(err, &unknown) {
		return ""
	}
	_, word, _ := strings.Cut(unknown.GetMessage(), `"`)
	word, _, _ = strings.Cut(word, `"`)
	keys := keysOf(reflect.TypeFor[Config](), nil)
	if near := fault.Nearest(word, keys); near != "" {
		return near
	}
	for _, k := range keys { // a key that was abbreviated, or has another beginning
		if head, _, ok := strings.Cut(word, "_"); ok && strings.HasPrefix(k, head+"_") {
			return k
		}
	}
	return ""
}

// keysOf gathers the keys of a struct and of those in it.
func keysOf(t reflect.Type, out []string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return out
	}
	for f := range t.NumField() {
		field := t.Field(f)
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if key == "" || key == "-" || slices.Contains(out, key) {
			continue
		}
		out = keysOf(field.Type, append(out, key))
	}
	return out
}

// maxComplaint is the longest message about a file that is not YAML.
const maxComplaint = 2000

// readable makes an excerpt of any file safe for a terminal.
func readable(text string) string {
	if len(text) > maxComplaint {
		text = text[:maxComplaint] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// settings is a checked Config in the form in which it is used; it is never changed after it was made.
type settings struct {
	Config
	listeners   []listenSpec
	metrics     *listenSpec // nil = off
	daemons     map[string]bool
	networks    []netip.Prefix
	allowed     map[string]bool // nil = all
	checkRecord bool
	signLong    bool

	verify verifySettings
	probe  probeSettings

	rules               ruleset
	stream              streamSource
	onEnvelope, onLogin onMismatch
	logins              *loginMap // nil = every login may sign for every domain
	macros              []string  // what an MTA is asked for beside the usual
}

// statusPath is the status socket, "" when there is none.
func (s *settings) statusPath() string {
	switch s.StatusSocket {
	case "":
		return filepath.Join(s.StateDirectory, "status.sock")
	case statusOff:
		return ""
	}
	return s.StatusSocket
}

func compile(cfg Config) (*settings, error) {
	s := &settings{Config: cfg, daemons: map[string]bool{}}
	if s.StateDirectory == "" {
		s.StateDirectory = DefaultStateDirectory
	}
	if s.MaxMessages == 0 {
		s.MaxMessages = DefaultMaxMessages
	}
	if s.MaxMessages < 1 || s.MaxMessages > maxMessages {
		return nil, fault.New(fault.Invalid, "max_messages: %d is not between 1 and %d", s.MaxMessages, maxMessages)
	}
	if s.SealingKey.Credential != "" && s.SealingKey.File != "" {
		return nil, fault.New(fault.Invalid, "sealing_key: name a credential or a file, not both")
	}
	if s.SealingKey == (SealingKey{}) {
		s.SealingKey.File = DefaultSealingKeyFile
	}
	var err error
	if s.listeners, err = compileListeners(cfg.Listeners); err != nil {
		return nil, err
	}
	if s.metrics, err = compileMetrics(cfg.Metrics); err != nil {
		return nil, err
	}
	if err := s.compileOutbound(); err != nil {
		return nil, err
	}
	if err := s.compileSigning(); err != nil {
		return nil, err
	}
	if s.verify, err = cfg.Verify.compile(); err != nil {
		return nil, err
	}
	if err := cfg.MTALog.check(); err != nil {
		return nil, err
	}
	if s.probe, err = cfg.Probe.compile(); err != nil {
		return nil, err
	}
	for _, d := range cfg.Domains {
		name, err := resolver.ToASCII(d)
		if err != nil || strings.ContainsAny(name, "*/") {
			return nil, fault.New(fault.Invalid, "domains: %q is not a domain", d).WithHint("each domain by its own name; there are no patterns here")
		}
		if s.allowed == nil {
			s.allowed = map[string]bool{}
		}
		s.allowed[name] = true
	}
	if s.checkRecord, err = either("check_record", cfg.CheckRecord, checkFirstUse, checkOff); err != nil {
		return nil, err
	}
	skipLong, err := either("long_lines", cfg.LongLines, longSkip, longSign)
	if err != nil {
		return nil, err
	}
	s.signLong = !skipLong
	if !slices.Contains([]string{"", "debug", "info", "warn", "error"}, cfg.Log.Level) {
		return nil, fault.New(fault.Invalid, "log.level: %q is none of debug, info, warn, error", cfg.Log.Level)
	}
	if _, err := either("log.format", cfg.Log.Format, "text", "json"); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *settings) compileOutbound() error {
	for _, name := range s.Outbound.Listeners {
		if name == "" {
			return fault.New(fault.Invalid, "outbound.listeners: an empty name").WithHint("set milter_macro_daemon_name in Postfix's master.cf and name it here")
		}
		s.daemons[name] = true
	}
	for _, text := range s.Outbound.Networks {
		p, err := parsePrefix(text)
		if err != nil {
			return fault.New(fault.Invalid, "outbound.networks: %q is not an address or a network", text)
		}
		if overlapsLoopback(p) {
			return fault.New(fault.Invalid, "outbound.networks: %s contains loopback addresses", text).
				WithHint("content filters hand inbound mail back over loopback, so it would be signed as ours; give local senders a listener with sign: outbound (non_smtpd_milters) instead")
		}
		s.networks = append(s.networks, p)
	}
	return nil
}

// either reports whether a word is the first of two, which also is what it means to say nothing.
func either(key, word, first, second string) (bool, error) {
	switch word {
	case "", first:
		return true, nil
	case second:
		return false, nil
	}
	return false, fault.New(fault.Invalid, "%s: %q is neither %s nor %s", key, word, first, second)
}

// parsePrefix reads a network or a single address. IPv4 inside IPv6 is IPv4.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, errors.New("an IPv4-mapped network wider than IPv4")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func overlapsLoopback(p netip.Prefix) bool {
	return p.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) || p.Overlaps(netip.MustParsePrefix("::1/128"))
}

// openSealingKey reads the sealing key.
func (s *settings) openSealingKey() (keystore.SealingKey, error) {
	if s.SealingKey.Credential != "" {
		return keystore.ReadCredential(s.SealingKey.Credential)
	}
	return keystore.ReadSealingKeyFile(s.SealingKey.File)
}
