package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/resolver"
)

// startUnbound starts a recursive server that knows these zones from these servers (addr:port) and that no other name exists. It returns its address.
func startUnbound(t *testing.T, dir string, zones map[string]string) string {
	t.Helper()
	need(t, "unbound")
	port := freePort(t, "127.0.0.1")
	addr := net.JoinHostPort("127.0.0.1", port)
	text := fmt.Sprintf(`server:
	interface: 127.0.0.1
	port: %s
	access-control: 127.0.0.0/8 allow
	chroot: ""
	username: ""
	directory: "%s"
	pidfile: ""
	use-syslog: no
	logfile: ""
	do-daemonize: no
	do-not-query-localhost: no
	module-config: "iterator"
	num-threads: 1
	local-zone: "." static
	local-data: ". 1 IN SOA root. hostmaster. 1 3600 600 86400 1"
`, port, dir)
	var stubs strings.Builder
	for zone, server := range zones {
		text += fmt.Sprintf("\tlocal-zone: %q transparent\n", zone)
		fmt.Fprintf(&stubs, "stub-zone:\n\tname: %q\n\tstub-addr: %s\n", zone, strings.Replace(server, ":", "@", 1))
	}
	config := filepath.Join(dir, "unbound.conf")
	write(t, config, text+"remote-control:\n\tcontrol-enable: no\n"+stubs.String())
	start(t, "unbound", "-d", "-c", config)
	eventually(t, "unbound answers", func() bool {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
		reply, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(m, addr)
		return err == nil && reply.Rcode == dns.RcodeSuccess
	})
	return addr
}

// lookThrough makes the receiver and the agents ask this recursive server instead of BIND. The inventory has to name it, too.
func (o *organisation) lookThrough(addr string) {
	o.t.Helper()
	o.sink.dns = func() dkim.Resolver { return resolver.NewRecursive(addr, 5*time.Second) }
	for name, config := range o.agentConfigs {
		text := string(must(os.ReadFile(config)))
		write(o.t, config, strings.Replace(text, o.bind.resolver(), addr, 1))
		o.agents[name].stop()
		o.startAgent(name)
	}
}

// serveAgain restarts the control plane with other flags.
func (o *organisation) serveAgain(flags ...string) {
	o.t.Helper()
	o.serve.stop()
	o.serveExtra = slices.Concat(o.serveExtra, flags)
	o.startServe()
}
