package inventory

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxSetting is the longest line of a publisher.
const maxSetting = 255

// setting checks one line of a publisher.
func (c *checker) setting(path string, p Publisher, s setting) {
	if s.form == formDuration {
		if d := *s.lasts(&p); d != 0 && (d < s.min || d > s.max) {
			c.wrong(path+"."+s.key, "", "%s must be from %s to %s, not %s", s.key, FormatDuration(s.min), FormatDuration(s.max), FormatDuration(d))
		}
		return
	}
	value := *s.field(&p)
	if strings.TrimSpace(value) == "" {
		if s.required {
			c.wrong(path, "write "+s.key+": "+s.example, "the publisher %q does not say %s", p.Name, s.says)
		}
		return
	}
	path += "." + s.key
	if len(value) > maxSetting || !printable(value) {
		c.wrong(path, "", "the %s is not one line of at most %d characters", s.key, maxSetting)
		return
	}
	switch s.form {
	case formAddress:
		if full, err := endpoint(value, true); err != nil || full != value {
			c.wrong(path, "", "%q is not an address with a port", shorten(value))
		}
	case formPath:
		if !strings.HasPrefix(value, "/") {
			c.wrong(path, "", "the path %q does not begin with /", shorten(value))
		}
	case formZone:
		if _, err := labels(value, true); err != nil {
			c.wrong(path, "", "the zone %q %v", shorten(value), err)
		}
	case formCredential:
		if !credentialPlace(value) {
			c.wrong(path, "write "+s.example+", env:NAME or systemd:NAME", "the credential is named by its place, not written down")
		}
	case formURL:
		c.endpointURL(path, value)
	case formHost:
		if !slices.Contains(DNSHosts(), value) {
			c.wrong(path, suggestion(value, DNSHosts()), "no click steps are known for the DNS host %q", shorten(value))
		}
	case formProgram:
		if err := checkWord(value, false); err != nil {
			c.wrong(path, "write the name of a program in the control plane's directory of programs, without a path", "the program %q %v", shorten(value), err)
		}
	}
}

// credentialPlace reports whether the text says where a credential is.
func credentialPlace(text string) bool {
	kind, where, _ := strings.Cut(text, ":")
	switch kind {
	case "file":
		return strings.HasPrefix(where, "/")
	case "env", "systemd":
		return where != "" && !strings.ContainsAny(where, "/= ")
	}
	return false
}

// endpointURL checks the base URL of an API. Credentials go there, so that it is HTTPS everywhere but on this machine.
func (c *checker) endpointURL(path, value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		c.wrong(path, "write https://HOST/PATH", "%q is not the address of an API", shorten(value))
		return
	}
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err != nil || !ip.IsLoopback() {
		c.wrong(path, "write https://…; http:// is for loopback addresses", "the credential would go to %s in clear", shorten(u.Host))
	}
}
