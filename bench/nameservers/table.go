package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// report prints the table, and writes it to a file.
func report(servers []*server, best map[[2]string]result, load string, seconds, records int, file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, zone of %d key records of 400 octets, %d seconds for each line and round, one processor for the server and one for dnsperf, %s.\n\n",
		time.Now().UTC().Format("2006-01-02"), records, seconds, load)
	b.WriteString("| questions | server | per second | per second of the server's CPU time | of Knot's | mean latency |\n|---|---|---:|---:|---:|---:|\n")
	for _, kind := range workloads {
		for _, s := range servers {
			r := best[[2]string{s.name, kind}]
			fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f | %.2f | %.2f ms |\n", kind, s.name, r.perSecond, r.perCPU, r.perCPU/best[[2]string{"Knot", kind}].perCPU, r.latency)
		}
	}
	b.WriteString("\n")
	for _, s := range servers {
		fmt.Fprintf(&b, "%s: %s. ", s.name, s.version)
	}
	b.WriteString("\n")
	fmt.Print("\n" + b.String())
	if file == "" {
		return nil
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
