package agent

import (
	"net/netip"
	"os"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Verify says how mail that is not ours is verified on the listeners with verify: true.
type Verify struct {
	AuthservID string   `yaml:"authserv_id"` // the name in Authentication-Results; empty = the MTA's macro j, else the host's name
	Remove     []string `yaml:"remove"`      // other names whose Authentication-Results from outside are removed
	SPF        *bool    `yaml:"spf"`         // default true
	DMARC      *bool    `yaml:"dmarc"`       // default true
	Skip       Skip     `yaml:"skip"`
	Timeout    string   `yaml:"timeout"` // for all look-ups of one message; default 15s
	Actions    Actions  `yaml:"actions"`
}

// Skip says whose mail is not verified.
type Skip struct {
	Networks      []string `yaml:"networks"`
	Authenticated *bool    `yaml:"authenticated"` // default true
}

// Actions name for each result what is done to the message; a result that is not named is accepted. DKIM and SPF go by the result,
// DMARC by what the domain asks for of a message that fails, or by the result when that cannot be told.
type Actions struct {
	DKIM  map[string]string `yaml:"dkim"`
	SPF   map[string]string `yaml:"spf"`
	DMARC map[string]string `yaml:"dmarc"`
}

// action is what is done to a message, from the mildest to the strictest.
type action uint8

const (
	actAccept action = iota
	actTag
	actQuarantine
	actTempfail
	actReject
	actions
)

var actionWords = [actions]string{"accept", "tag", "quarantine", "tempfail", "reject"}

func (a action) String() string { return actionWords[a] }

// The results for which an action can be named. There is none for pass.
var (
	dkimResults  = []string{"none", "fail", "policy", "neutral", "temperror", "permerror"}
	spfResults   = []string{"none", "neutral", "fail", "softfail", "temperror", "permerror"}
	dmarcResults = []string{"none", "quarantine", "reject", "temperror", "permerror"}
)

// Limits of the time for look-ups. The MTA waits for us meanwhile: Postfix gives up after 300 s (milter_content_timeout).
const (
	defaultVerifyTimeout = 15 * time.Second
	minVerifyTimeout     = time.Second
	maxVerifyTimeout     = 2 * time.Minute
	maxRemoved           = 100 // names under verify.remove
)

// verifySettings is a checked Verify.
type verifySettings struct {
	id          string // "" = ask the MTA
	hostname    string
	remove      []string
	spf, dmarc  bool
	networks    []netip.Prefix
	skipLogins  bool
	timeout     time.Duration
	dkimActions map[string]action
	spfActions  map[string]action
	dmarcAction map[string]action
	quarantines bool // some result asks for it
}

func (c Verify) compile() (v verifySettings, err error) {
	v = verifySettings{spf: c.SPF == nil || *c.SPF, dmarc: c.DMARC == nil || *c.DMARC, skipLogins: c.Skip.Authenticated == nil || *c.Skip.Authenticated, timeout: defaultVerifyTimeout}
	if v.id, err = authservID("verify.authserv_id", c.AuthservID); err != nil {
		return v, err
	}
	if v.hostname, err = os.Hostname(); err != nil || v.hostname == "" {
		v.hostname = "localhost"
	}
	if len(c.Remove) > maxRemoved {
		return v, fault.New(fault.Invalid, "verify.remove: more than %d names", maxRemoved)
	}
	for _, text := range c.Remove {
		id, err := authservID("verify.remove", text)
		if err != nil || id == "" {
			return v, fault.New(fault.Invalid, "verify.remove: %q is not a name", text)
		}
		v.remove = append(v.remove, id)
	}
	if v.dmarc && !v.spf && c.DMARC != nil {
		return v, fault.New(fault.Invalid, "verify: dmarc needs spf").WithHint("DMARC passes with either of DKIM and SPF, so that without SPF mail would fail that other receivers accept")
	}
	v.dmarc = v.dmarc && v.spf
	if !v.spf && len(c.Actions.SPF) > 0 {
		return v, fault.New(fault.Invalid, "verify.actions.spf: SPF is not looked at").WithHint("leave spf: false out, or the actions")
	}
	if !v.dmarc && len(c.Actions.DMARC) > 0 {
		return v, fault.New(fault.Invalid, "verify.actions.dmarc: DMARC is not looked at").WithHint("DMARC needs both spf and dmarc to be true")
	}
	for _, text := range c.Skip.Networks {
		p, err := parsePrefix(text)
		if err != nil {
			return v, fault.New(fault.Invalid, "verify.skip.networks: %q is not an address or a network", text)
		}
		v.networks = append(v.networks, p)
	}
	if c.Timeout != "" {
		if v.timeout, err = time.ParseDuration(c.Timeout); err != nil || v.timeout < minVerifyTimeout || v.timeout > maxVerifyTimeout {
			return v, fault.New(fault.Invalid, "verify.timeout: %q is not a time from %s to %s", c.Timeout, minVerifyTimeout, maxVerifyTimeout)
		}
	}
	for _, list := range []struct {
		key   string
		given map[string]string
		known []string
		into  *map[string]action
	}{
		{"dkim", c.Actions.DKIM, dkimResults, &v.dkimActions}, {"spf", c.Actions.SPF, spfResults, &v.spfActions}, {"dmarc", c.Actions.DMARC, dmarcResults, &v.dmarcAction},
	} {
		if *list.into, err = compileActions("verify.actions."+list.key, list.given, list.known); err != nil {
			return v, err
		}
		for _, a := range *list.into {
			v.quarantines = v.quarantines || a == actQuarantine
		}
	}
	return v, nil
}

func compileActions(path string, given map[string]string, known []string) (map[string]action, error) {
	out := map[string]action{}
	for result, text := range given {
		at := index(known, result)
		if at < 0 {
			return nil, fault.New(fault.Invalid, "%s: %q is no result here", path, result).WithHint("one of %v", known)
		}
		a := index(actionWords[:], text)
		if a < 0 {
			return nil, fault.New(fault.Invalid, "%s.%s: %q is no action", path, result, text).WithHint("one of %v", actionWords)
		}
		out[result] = action(a)
	}
	return out, nil
}

func index(list []string, word string) int {
	for i, w := range list {
		if w == word {
			return i
		}
	}
	return -1
}

// authservID checks a name for Authentication-Results; it need not be in DNS (RFC 8601 §2.5).
func authservID(key, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	name, err := resolver.ToASCII(text)
	if err != nil || name == "." {
		return "", fault.New(fault.Invalid, "%s: %q is not a name", key, text).WithHint("the name of this mail system, for instance the host's: mx1.example.org")
	}
	return name, nil
}

// verifies says whether a message that is not ours is verified.
func (v *verifySettings) verifies(login string, client netip.Addr) bool {
	if login != "" && v.skipLogins {
		return false
	}
	for _, n := range v.networks {
		if client.IsValid() && n.Contains(client) {
			return false
		}
	}
	return true
}
