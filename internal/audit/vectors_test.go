package audit

import (
	"slices"
	"testing"
)

// differences are the cases of other projects in which they judge otherwise, with the section of RFC 6376 that we follow.
// Their linters ask whether a tag is well-formed; Valid is whether a receiver can work with the record.
func differences() map[string]string {
	const ignored = "§3.6.1: unrecognised flags must be ignored, and an empty list has none"
	return map[string]string{
		"mox v=DKIM1; p=; ": "§3.2: white space may follow the last semicolon",
		"mox v = DKIM1 ;   h\t=\tsha1 \t:\t SHA256:unknown\t;k=ed25519; n = notes...; p = JDc bZ0Hpb a5NK\tXI4UAW3G0IDhhFOxhJTDybZEwe1FeA=  ;s = email : tlsrpt; t = y\t: t; unknown = bogus;": "§3.2 values are case-sensitive, §6.1.2 step 6: a record without the hash of the signature must be ignored",
		"mailcheck p":        "§3.2: a tag has a =; §3.6.1: p= is required, and revoked only when it is there and empty",
		"mailcheck t=":       ignored,
		"mailcheck t=:":      ignored,
		"mailcheck t=test:y": ignored,
	}
}

// scrambled are mailcheck's p= that are base64 but no key: its rule looks at the base64 alone, a receiver wants a key (§6.1.2 step 8).
const scrambled = "§6.1.2 step 8: the key data must be suitable; these octets are no key"

// TestVectors compares validity with the verdicts of mox and mailcheck. A case of mailcheck about one tag becomes a record with that tag
// and everything else in order.
func TestVectors(t *testing.T) {
	t.Parallel()
	known, met := differences(), map[string]bool{}
	const edKey = "p=pEd4PDHp7GcYy1yc/0ZYw/aidpwIUPL2Z4433ZnuWoA="
	for _, file := range []string{"mox", "mailcheck"} {
		var suite struct {
			Cases []struct {
				Kind, Tag, Record string
				Value             *string
				Valid             bool
			}
		}
		readJSON(t, "../../../shared/testdata/records/"+file+"-dkim.json", &suite)
		agree, differ := 0, 0
		for _, c := range suite.Cases {
			record := c.Record
			switch {
			case c.Kind == "dkim":
			case c.Tag == "v":
				record = c.Record + "; k=ed25519; " + edKey
			case c.Tag == "k":
				record = "v=DKIM1; " + c.Record + "; " + edKey
			case c.Tag == "p":
				record = "v=DKIM1; k=rsa; " + c.Record
			default:
				record = "v=DKIM1; k=ed25519; " + c.Record + "; " + edKey
			}
			l := lintText(record)
			mendsMend(t, LintDKIM, record)
			if got := verifierTakes(t, ReadValue(record).Text); got != l.Valid {
				t.Errorf("%s: %q: valid %v, but the verifier takes it: %v", file, record, l.Valid, got)
			}
			if l.Valid == c.Valid {
				agree++
				continue
			}
			differ++
			why := known[file+" "+c.Record]
			met[file+" "+c.Record] = true
			if why == "" && c.Tag == "p" && c.Valid && slices.Contains(ids(l), "DKIM-S05") && readMaterial(*c.Value).damage == "" {
				why = scrambled
			}
			if why == "" {
				t.Errorf("%s: %q: valid %v, theirs %v: %+v", file, record, l.Valid, c.Valid, l.Findings)
			}
			t.Logf("%s: %.60q: ours %v, theirs %v: %s", file, c.Record, l.Valid, c.Valid, why)
		}
		t.Logf("corpus: key records, %s: %d cases agree, %d differ for stated reasons", file, agree, differ)
		if want := map[string][2]int{"mox": {10, 2}, "mailcheck": {20, 8}}[file]; want != [2]int{agree, differ} {
			t.Errorf("%s: %d agree and %d differ, want %v", file, agree, differ, want)
		}
	}
	for key := range known {
		if !met[key] {
			t.Errorf("%q is no difference", key)
		}
	}
}
