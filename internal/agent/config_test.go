package agent

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

func TestConfigIsReadStrictly(t *testing.T) {
	cfg, err := ParseConfig([]byte(`
state_directory: /var/lib/x
sealing_key:
  credential: sealing-key
listeners:
  - address: unix:/run/postseal-agent/outbound.sock
    sign: outbound
    mode: "0666"
    group: postfix
  - address: inet:8891@127.0.0.1
    sign: auto
  - {address: "inet:0.0.0.0:8892", sign: auto, peers: [192.0.2.1, "2001:db8::/32"]}
outbound:
  listeners: [ORIGINATING]
  networks: [192.0.2.0/24]
domains: [Example.org, exämple.net]
resolver: ["127.0.0.1:53"]
check_record: off
long_lines: sign
max_messages: 50
log: {level: debug, format: json}
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.listeners) != 3 || s.listeners[0].mode != 0o666 || !s.listeners[0].outbound || s.listeners[1].address != "127.0.0.1:8891" || s.listeners[1].outbound || len(s.listeners[2].peers) != 2 {
		t.Errorf("listeners: %+v", s.listeners)
	}
	if !s.allowed["example.org"] || !s.allowed["xn--exmple-cua.net"] || s.checkRecord || !s.signLong || s.MaxMessages != 50 || !s.daemons["ORIGINATING"] {
		t.Errorf("%+v", s)
	}
	if s.statusPath() != "/var/lib/x/status.sock" {
		t.Errorf("status socket %q", s.statusPath())
	}
}

func TestDefaults(t *testing.T) {
	s, err := compile(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if s.StateDirectory != DefaultStateDirectory || s.SealingKey.File != DefaultSealingKeyFile || !s.checkRecord || s.signLong || s.MaxMessages != DefaultMaxMessages || s.allowed != nil {
		t.Errorf("%+v", s)
	}
}

// configMistake is a text of agent.yaml that is refused, with what the message and the hint have to name.
type configMistake struct{ name, text, want, hint string }

func wantMistakes(t *testing.T, mistakes []configMistake) {
	t.Helper()
	for _, c := range mistakes {
		_, err := ParseConfig([]byte(c.text))
		message, hint := fault.Show(err)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(message, c.want) || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: %v (%s); want %q", c.name, err, hint, c.want)
		}
	}
}

func TestConfigMistakesAreNamed(t *testing.T) {
	wantMistakes(t, []configMistake{
		{name: "unknown key", text: "listeners:\n  - address: unix:/a\n    sing: auto\n", want: "[3:5] unknown field \"sing\"", hint: `did you mean "sign"?`},
		{name: "an abbreviated key", text: "state_dir: /a\n", want: "unknown field \"state_dir\"", hint: `did you mean "state_directory"?`},
		{name: "unknown key at the top", text: "state_directory: /a\n\nkeys: []\n", want: "[3:1] unknown field \"keys\""},
		{name: "twice", text: "domains: [a.example]\ndomains: [b.example]\n", want: "[2:1]"},
		{name: "not YAML", text: "listeners: [\n", want: "[1:"},
		{name: "wrong type", text: "max_messages: many\n", want: "[1:15]"},
		{name: "no sign", text: "listeners: [{address: unix:/a}]", want: "listeners[0]: sign", hint: "outbound"},
		{name: "relative path", text: "listeners: [{address: unix:a, sign: auto}]", want: "absolute path"},
		{name: "no address", text: "listeners: [{sign: auto}]", want: "not a milter address"},
		{name: "name", text: "listeners: [{address: \"inet:8891@mx1\", sign: auto}]", want: "not a milter address"},
		{name: "no port", text: "listeners: [{address: \"inet:127.0.0.1\", sign: auto}]", want: "not a milter address"},
		{name: "open to all", text: "listeners: [{address: \"0.0.0.0:8891\", sign: auto}]", want: "not on loopback", hint: "peers:"},
		{name: "peers of a Unix socket", text: "listeners: [{address: unix:/a, sign: auto, peers: [192.0.2.1]}]", want: "Unix socket has none"},
		{name: "mode of a port", text: "listeners: [{address: \"127.0.0.1:1\", sign: auto, mode: \"0660\"}]", want: "for Unix sockets only"},
		{name: "odd mode", text: "listeners: [{address: unix:/a, sign: auto, mode: \"0770\"}]", want: "mode"},
		{name: "same twice", text: "listeners: [{address: unix:/a, sign: auto}, {address: unix:/a, sign: outbound}]", want: "listeners[1]: /a is there twice"},
		{name: "loopback network", text: "outbound: {networks: [127.0.0.0/8]}", want: "contains loopback", hint: "content filters"},
		{name: "one loopback address", text: "outbound: {networks: [\"::1\"]}", want: "contains loopback"},
		{name: "everything", text: "outbound: {networks: [0.0.0.0/0]}", want: "contains loopback"},
		{name: "mapped loopback", text: "outbound: {networks: [\"::ffff:127.0.0.1\"]}", want: "contains loopback"},
		{name: "no network", text: "outbound: {networks: [example.org]}", want: "not an address or a network"},
		{name: "empty listener name", text: "outbound: {listeners: [\"\"]}", want: "empty name"},
		{name: "two sealing keys", text: "sealing_key: {credential: a, file: /b}", want: "not both"},
		{name: "no domain", text: "domains: [\"a b\"]", want: "not a domain"},
		{name: "check_record", text: "check_record: never", want: "neither before_first_use nor off"},
		{name: "long_lines", text: "long_lines: fold", want: "neither skip nor sign"},
		{name: "too many", text: "max_messages: 1000000000", want: "max_messages"},
		{name: "level", text: "log: {level: loud}", want: "log.level"},
	})
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "none.yaml")); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("missing file: %v", err)
	}
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, maxConfig+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(huge); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("huge file: %v", err)
	}
}

func TestListenAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"unix:/run/a.sock":       "unix /run/a.sock",
		"local:/run//a.sock":     "unix /run/a.sock",
		"inet:127.0.0.1:8891":    "tcp 127.0.0.1:8891",
		"inet:8891@127.0.0.1":    "tcp 127.0.0.1:8891",
		"inet:8891@localhost":    "tcp 127.0.0.1:8891",
		"inet:localhost:8891":    "tcp 127.0.0.1:8891",
		"inet:8891":              "tcp 127.0.0.1:8891",
		"inet6:8891@::1":         "tcp [::1]:8891",
		"inet6:8891":             "tcp [::1]:8891",
		"inet:[::1]:8891":        "tcp [::1]:8891",
		"127.0.0.1:0":            "tcp 127.0.0.1:0",
		"[::ffff:127.0.0.1]:889": "tcp 127.0.0.1:889",
	} {
		network, address, err := parseListenAddress(text)
		if err != nil || network+" "+address != want {
			t.Errorf("%s: %s %s, %v", text, network, address, err)
		}
	}
	for _, text := range []string{"", "8891", "unix:", "unix:/" + strings.Repeat("a", 200), "inet:x@127.0.0.1", "inet:70000@127.0.0.1", "tcp://127.0.0.1:1", "inet:mx1.example.org:8891", "inet:1.2.3:5", "unix:/a\x00b"} {
		if network, address, err := parseListenAddress(text); err == nil {
			t.Errorf("%q was taken as %s %s", text, network, address)
		}
	}
}

func TestUnixSocketsAreForOwnerAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "milter.sock")
	spec := listenSpec{network: "unix", address: path, mode: defaultSocketMode, group: "0"}
	if os.Geteuid() != 0 {
		spec.group = ""
	}
	ln, err := openListener(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := openListener(t.Context(), spec); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a socket in use was taken away: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	leaveSocket(t, path)
	ln, err = openListener(t.Context(), spec)
	if err != nil {
		t.Fatalf("a socket that a killed process left: %v", err)
	}
	_ = ln.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openListener(t.Context(), spec); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a file in the way: %v", err)
	}
	if _, err := openListener(t.Context(), listenSpec{network: "unix", address: path + "2", mode: defaultSocketMode, group: "no-such-group"}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an unknown group: %v", err)
	}
}

// leaveSocket makes a socket that nobody listens at, as a killed process leaves it.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
}
