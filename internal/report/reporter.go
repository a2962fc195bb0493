package report

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// maxReporterName is how much of a name that a report gives itself is kept where a domain stands behind it, in octets: both fit into what is stored of a name.
const maxReporterName = 128

// reporterName is who reports, for people. The name in a report is whatever its sender wrote: what vouches for it is the domain that the mail is from, or that somebody who handed the
// report in found in it. Where the name is not of that domain, the domain stands behind it: "Enterprise Outlook (microsoft.com)".
func reporterName(org, domain string) string {
	if domain == "" || org == "" || registered(org) == registered(domain) {
		return org
	}
	if len(org) > maxReporterName {
		org = strings.ToValidUTF8(org[:maxReporterName], "")
	}
	return org + " (" + domain + ")"
}

// ReporterOf is who counts as one reporter of a name as it is stored: all names of a registered domain are one. Whoever has one domain can make up as many names and subdomains as he likes.
func ReporterOf(org string) string {
	if _, domain := splitReporter(org); domain != "" {
		return domain
	}
	return org
}

// splitReporter divides what reporterName put together: the name, and the registered domain that stands behind it, or that it is of; "" = none does.
func splitReporter(org string) (name, domain string) {
	if rest, ok := strings.CutSuffix(org, ")"); ok {
		if i := strings.LastIndex(rest, " ("); i >= 0 {
			if d := registered(rest[i+2:]); d != "" {
				return rest[:i], d
			}
		}
	}
	return org, registered(org)
}

// registered is the domain that somebody registered: without what is below it, lower-case; "" when the text is no domain.
func registered(text string) string {
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	if !strings.Contains(text, ".") || strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}) {
		return ""
	}
	d, err := publicsuffix.EffectiveTLDPlusOne(text)
	if err != nil { // it is a public suffix itself, or malformed
		return text
	}
	return d
}
