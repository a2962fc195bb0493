package rfc2136

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxKeyFile is the size of a key file in octets; tsig-keygen writes about a hundred.
	maxKeyFile = 64 << 10

	// minSecret is the shortest secret in octets: RFC 8945 §5.2.2.1 lets no truncation below 80 bits count, and
	// a shorter secret is weaker than that.
	minSecret = 10

	// tooOpen are the permissions that a file with a secret must not have: others may not read it, and nobody but the owner
	// may replace it. Reading by the group is how a daemon's account usually gets at it.
	tooOpen fs.FileMode = 0o027
)

// key is a TSIG key.
type key struct {
	name      string // lower case, with trailing dot
	algorithm string // as the DNS library writes it
	secret    string // base64
}

// algorithms are those that may be used. HMAC-MD5 is obsolete and HMAC-SHA1 must not be used for new keys (RFC 8945 §6).
var algorithms = map[string]string{
	"hmac-sha224": dns.HmacSHA224,
	"hmac-sha256": dns.HmacSHA256,
	"hmac-sha384": dns.HmacSHA384,
	"hmac-sha512": dns.HmacSHA512,
}

const keygenHint = "make one with: tsig-keygen -a hmac-sha256 NAME > FILE; chmod 640 FILE; name the same file in named.conf"

// ReadKey reads the one key of a file in BIND's format: its name in lower case with trailing dot, the algorithm as the DNS library writes it, and the
// secret in base64. A file that others can read is refused. Errors are fault.Invalid.
func ReadKey(path string) (name, algorithm, secret string, err error) {
	k, err := readKey(path)
	return k.name, k.algorithm, k.secret, err
}

// readKey reads the one key of a file in BIND's format. Errors are fault.Invalid.
func readKey(path string) (key, error) {
	f, err := os.Open(path)
	if err != nil {
		return key{}, fault.Wrap(fault.Invalid, err, "the TSIG key file %s cannot be read", path).
			WithHint("check that it exists and that the account of the control plane may read it")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return key{}, fault.Wrap(fault.Invalid, err, "the TSIG key file %s is no regular file", path).WithHint(keygenHint)
	}
	if mode := info.Mode().Perm(); mode&tooOpen != 0 {
		return key{}, fault.New(fault.Invalid, "the TSIG key file %s has mode %04o: others can read or replace it", path, mode).
			WithHint("chmod 640 %s, owned by the account or group of the control plane", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil || len(data) > maxKeyFile {
		return key{}, fault.Wrap(fault.Invalid, err, "the TSIG key file %s cannot be read, or is larger than a key file", path).WithHint(keygenHint)
	}
	k, err := parseKey(string(data))
	if err != nil {
		return key{}, fault.Wrap(fault.Invalid, err, "the TSIG key file %s cannot be used", path).WithHint(keygenHint)
	}
	return k, nil
}

// parseKey reads one statement of the form: key "name" { algorithm hmac-sha256; secret "base64"; };
func parseKey(text string) (key, error) {
	words, err := lex(text)
	if err != nil {
		return key{}, err
	}
	p := parser{words}
	var k key
	if err := p.expect("key"); err != nil {
		return key{}, err
	}
	name := p.next()
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return key{}, errors.New("the key's name is not a domain name")
	}
	k.name = dns.CanonicalName(name)
	if err := p.expect("{"); err != nil {
		return key{}, err
	}
	for word := p.next(); word != "}"; word = p.next() {
		value := p.next()
		switch word {
		case "algorithm":
			k.algorithm = algorithms[strings.ToLower(strings.TrimSuffix(value, "."))]
			if k.algorithm == "" {
				return key{}, fmt.Errorf("the algorithm %.40q is not one that is used", value)
			}
		case "secret":
			secret, err := base64.StdEncoding.DecodeString(value)
			if err != nil || len(secret) < minSecret {
				return key{}, errors.New("the secret is not base64, or too short")
			}
			k.secret = value
		default:
			return key{}, fmt.Errorf("unexpected %.40q", word)
		}
		if err := p.expect(";"); err != nil {
			return key{}, err
		}
	}
	if err := p.expect(";"); err != nil {
		return key{}, err
	}
	switch {
	case len(p.words) > 0:
		return key{}, errors.New("it holds more than one key")
	case k.algorithm == "" || k.secret == "":
		return key{}, errors.New("algorithm or secret is missing")
	}
	return k, nil
}

// parser walks over the words; the end reads as "".
type parser struct{ words []string }

func (p *parser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *parser) expect(word string) error {
	if got := p.next(); got != word {
		// A secret may be what stands there instead, so it is not shown.
		return fmt.Errorf("%q is missing", word)
	}
	return nil
}

// lex splits the text into words, quoted strings and the marks { } ; without comments.
func lex(text string) ([]string, error) {
	var words []string
	for text != "" {
		switch {
		case strings.ContainsRune(" \t\r\n", rune(text[0])):
			text = text[1:]
		case strings.HasPrefix(text, "//"), text[0] == '#':
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			var closed bool
			if _, text, closed = strings.Cut(text[2:], "*/"); !closed {
				return nil, errors.New("a comment does not end")
			}
		case strings.ContainsRune("{};", rune(text[0])):
			words, text = append(words, text[:1]), text[1:]
		case text[0] == '"':
			word, rest, closed := strings.Cut(text[1:], `"`)
			if !closed {
				return nil, errors.New("a quoted string does not end")
			}
			words, text = append(words, word), rest
		default:
			n := strings.IndexAny(text, " \t\r\n{};\"#")
			if n < 0 {
				n = len(text)
			}
			words, text = append(words, text[:n]), text[n:]
		}
	}
	return words, nil
}
