package main

import "testing"

func TestVerdictReadsWhatEachVerifierWrites(t *testing.T) {
	const ours = " mx.receive.example; dkim=pass header.d=example.org header.i=@example.org header.s=bench header.a=rsa-sha256 header.b=\"A/b+\";\r\n\tspf=pass smtp.mailfrom=example.org; dmarc=pass header.from=example.org"
	for _, c := range []struct {
		name, value, want string
		also              []string
		good              bool
	}{
		{"ours", ours, "pass", []string{"spf=pass", "dmarc=pass"}, true},
		{"ours without SPF", ours, "pass", []string{"spf=fail"}, false},
		{"opendkim", " mx;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=example.org header.i=@example.org header.a=rsa-sha256", "pass", nil, true},
		{"opendkim, changed", " mx;\r\n\tdkim=fail reason=\"signature; dkim=pass\" (2048-bit key) header.d=example.org", "fail", nil, true},
		{"rspamd", " host; dkim=pass header.d=example.org header.s=bench header.b=abc", "pass", nil, true},
		{"rspamd, changed", " host; dkim=fail (\"body hash did not verify\") header.d=example.org", "pass", nil, false},
		{"another domain", " mx; dkim=pass header.d=other.example", "pass", nil, false},
		{"a domain in a comment", " mx; dkim=pass (header.d=example.org)", "pass", nil, false},
		{"two results", " mx; dkim=pass header.d=example.org; dkim=fail header.d=example.org", "pass", nil, false},
		{"none", " mx; none", "pass", nil, false},
	} {
		err := verdict([]field{{"Authentication-Results", c.value}}, c.want, c.also)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if verdict(nil, "pass", nil) == nil {
		t.Error("no field at all is taken for a pass")
	}
}
