package agent

import (
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Limits of logins.
const (
	maxLogins       = 500_000  // entries; a hundred thousand need some ten MB
	maxLoginsFile   = 64 << 20 // octets: what as many long entries take
	maxLoginGlobs   = 1000     // globs other than *@domain: all of them are looked at for each message
	maxLoginDomains = 100      // of one entry; who may sign for more may sign for "*"
	maxLogin        = 512      // octets of a login
)

// Logins says which login may sign for which domain, on servers that are shared by customers. With an entry or a file, mail of a
// sender who has logged in is signed only for the domains that the login may use; all entries that match a login count together.
//
// A login is a name, exactly but in any case of letters, or a glob. A domain is a name, "*.name" for those below it, or "*" for all that
// are assigned.
type Logins struct {
	Map       map[string]Words `yaml:"map"`
	File      string           `yaml:"file"`      // lines "login domain[,domain]"; read at the start and on reload
	Otherwise string           `yaml:"otherwise"` // skip (default) or reject
}

// loginMap is Logins in the form in which it is used; it never changes after it was made.
type loginMap struct {
	reject   bool
	exact    map[string]*domainSet
	byDomain map[string]*domainSet // of *@domain
	globs    []loginGlob

	sets map[string]*domainSet // by their text: many logins have the same
}

type loginGlob struct {
	glob    glob
	domains *domainSet
}

// domainSet is the domains of an entry.
type domainSet struct {
	all   bool
	exact []string
	below []string // *.name
}

func (d *domainSet) contains(domain string) bool {
	if d == nil {
		return false
	}
	if d.all || contains(d.exact, domain) {
		return true
	}
	for _, parent := range d.below {
		if domain != parent && isOrBelow(domain, parent) {
			return true
		}
	}
	return false
}

// compileLogins returns nil without any entries; the file's are added by readFile.
func compileLogins(in Logins) (*loginMap, error) {
	skip, err := either("logins.otherwise", in.Otherwise, "skip", "reject")
	if err != nil {
		return nil, err
	}
	if len(in.Map) == 0 && in.File == "" {
		if in.Otherwise != "" {
			return nil, fault.New(fault.Invalid, "logins.otherwise: there is neither a map nor a file").WithHint("without them every login may sign for every domain")
		}
		return nil, nil
	}
	m := &loginMap{reject: !skip, exact: map[string]*domainSet{}, byDomain: map[string]*domainSet{}, sets: map[string]*domainSet{}}
	for _, login := range sortedKeys(in.Map) {
		if err := m.add(login, strings.Join(in.Map[login], ",")); err != nil {
			message, hint := fault.Show(err)
			return nil, fault.New(fault.Invalid, "logins.map: %s", message).WithHint("%s", hint)
		}
	}
	return m, nil
}

// add takes one entry.
func (m *loginMap) add(login, domains string) error {
	if login == "" || len(login) > maxLogin {
		return fault.New(fault.Invalid, "%.100q is not a login", login)
	}
	set, err := m.set(domains)
	if err != nil {
		return err
	}
	if len(m.exact)+len(m.byDomain)+len(m.globs) == maxLogins {
		return fault.New(fault.Invalid, "more than %d logins", maxLogins).WithHint("one entry *@example.org does for all logins of a domain")
	}
	if !strings.ContainsAny(login, "*?") {
		return addLogin(m.exact, loginKey(login), login, set)
	}
	if domain, ok := strings.CutPrefix(login, "*@"); ok && !strings.ContainsAny(domain, "*?") {
		return addLogin(m.byDomain, strings.TrimPrefix(loginKey("x@"+domain), "x@"), login, set)
	}
	if len(m.globs) == maxLoginGlobs {
		return fault.New(fault.Invalid, "more than %d globs beside those like *@example.org", maxLoginGlobs).WithHint("name the logins, or use *@domain")
	}
	text, err := asciiGlob(login)
	if err != nil {
		return err
	}
	m.globs = append(m.globs, loginGlob{compileGlob(text), set})
	return nil
}

func addLogin(to map[string]*domainSet, key, login string, set *domainSet) error {
	if to[key] != nil {
		return fault.New(fault.Invalid, "%q is there twice", login).WithHint("put its domains into one entry")
	}
	to[key] = set
	return nil
}

// loginKey is a login in the form in which it is compared: in lower case, the domain as A-labels. Plain ones are not copied.
func loginKey(login string) string {
	if !isASCII(login) {
		login = canonicalAddress(login)
	}
	return strings.ToLower(login)
}

// set reads a list of domains.
func (m *loginMap) set(text string) (*domainSet, error) {
	if d := m.sets[text]; d != nil {
		return d, nil
	}
	d := &domainSet{}
	for i, word := range strings.Split(text, ",") {
		if i == maxLoginDomains {
			return nil, fault.New(fault.Invalid, "more than %d domains for one login", maxLoginDomains)
		}
		word = strings.TrimSpace(word)
		if word == "*" {
			d.all = true
			continue
		}
		parent, below := strings.CutPrefix(word, "*.")
		domain, ok := signingDomain(parent)
		switch {
		case !ok, below && !strings.Contains(domain, "."):
			return nil, fault.New(fault.Invalid, "%.100q is not a domain", word).WithHint("a domain, *.domain for those below it, or *")
		case below:
			d.below = append(d.below, domain)
		default:
			d.exact = append(d.exact, domain)
		}
	}
	m.sets[text] = d
	return d, nil
}

// may reports whether a login may use a domain.
func (m *loginMap) may(login, domain string) bool {
	key := loginKey(login)
	if m.exact[key].contains(domain) {
		return true
	}
	if at := strings.LastIndexByte(key, '@'); at >= 0 && m.byDomain[key[at+1:]].contains(domain) {
		return true
	}
	for i := range m.globs {
		if g := &m.globs[i]; g.domains.contains(domain) && g.glob.match(key) {
			return true
		}
	}
	return false
}
