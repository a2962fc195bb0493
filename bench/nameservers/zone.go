package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const (
	origin = "example.org"
	// questionCount is how many questions are asked in turn, in random order, so that no server gains by the order.
	questionCount = 50_000
)

func keyName(i int) string { return fmt.Sprintf("mx%d-2611abcd._domainkey.%s", i, origin) }

// keyValue is a record of about 400 octets, as an RSA key of 2,048 bits has; each is another one.
func keyValue(i int) string {
	var b strings.Builder
	for n := range 9 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, n))
		b.Write(sum[:])
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString([]byte(b.String()))
}

// zoneFile is the zone for the other servers.
func zoneFile(records int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s.\n$TTL 3600\n@ 300 IN SOA ns1.example.net. hostmaster.example.org. 1 3600 600 1209600 300\n@ IN NS ns1.example.net.\n@ IN NS ns2.example.net.\n", origin)
	for i := range records {
		v := keyValue(i)
		fmt.Fprintf(&b, "%s. IN TXT %q %q\n", keyName(i), v[:255], v[255:])
	}
	return b.String()
}

// writeQuestions writes the files that dnsperf reads, by workload.
func writeQuestions(dir string, records int) (map[string]string, error) {
	rnd := rand.New(rand.NewPCG(1, 2))
	files := map[string]string{}
	for _, kind := range workloads {
		var b strings.Builder
		for range questionCount {
			name := keyName(rnd.IntN(records))
			if kind == "NXDOMAIN" {
				name = "no" + name
			}
			b.WriteString(name + " TXT\n")
		}
		files[kind] = filepath.Join(dir, kind)
		if err := os.WriteFile(files[kind], []byte(b.String()), 0o644); err != nil {
			return nil, err
		}
	}
	return files, nil
}
