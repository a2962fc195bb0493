package mtalog

import "strings"

// authors are the words before the author's domain in replies of large receivers; after must follow the domain where the words alone say too little.
var authors = [...]struct{ before, after string }{
	{"sending domain ", ""},                      // Microsoft, 5.7.515 and 5.7.509
	{"unauthenticated email from ", ""},          // Gmail, the author's DMARC policy
	{"rejected due to ", "dmarc policy"},         // Apple
	{"not accepted due to domain ", "owner"},     // Mail.ru
	{"due to domain ", "owner dmarc policy"},     // Mail.ru
	{"dmarc policy for ", ""},                    // OpenDMARC
	{"dmarc policy of ", ""},                     //
	{"email rejected per dmarc policy for ", ""}, // others
}

// author finds the author's domain in the text of a reply in lower case, where the receiver names it; "" = it does not.
func author(lower string) string {
	for _, a := range authors {
		_, behind, found := strings.Cut(lower, a.before)
		if !found {
			continue
		}
		word, behind, _ := strings.Cut(behind, " ")
		name := strings.Trim(word, "[](){}<>\"',;:.")
		if isName(name) && strings.HasPrefix(behind, a.after) {
			return name
		}
	}
	return ""
}
