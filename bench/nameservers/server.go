package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

const (
	serverCPU, loadCPU = "0", "1" // processors
	startWithin        = 30 * time.Second
	ticks              = 100 // of /proc/PID/stat in a second, on Linux everywhere
)

// server is a name server that was started.
type server struct {
	name, version string
	port          int
	cmd           *exec.Cmd
	log           bytes.Buffer
	ended         chan struct{}
}

// begin starts a program on the processor for servers, and waits until it answers.
func begin(ctx context.Context, name, version string, port int, args ...string) (*server, error) {
	s := &server{name: name, version: version, port: port, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", serverCPU}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	for end := time.Now().Add(startWithin); ; {
		if r, err := s.ask(keyName(0)); err == nil && r.Rcode == dns.RcodeSuccess && len(r.Answer) == 1 {
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s ended: %s", name, s.log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			s.stop()
			return nil, fmt.Errorf("%s does not answer: %s", name, s.log.String())
		}
	}
}

func (s *server) stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.ended
}

func (s *server) ask(name string) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name+".", dns.TypeTXT)
	q.SetEdns0(1232, false)
	r, _, err := (&dns.Client{Timeout: time.Second}).Exchange(q, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	return r, err
}

// cpu is the CPU time of the server's processes so far.
func (s *server) cpu() (time.Duration, error) {
	var sum time.Duration
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // has ended meanwhile
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 13 || fields[2] != strconv.Itoa(s.cmd.Process.Pid) { // its group
			continue
		}
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * time.Second / ticks
		}
	}
	if sum == 0 {
		return 0, errors.New("no CPU time of the server is known")
	}
	return sum, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// startOurs starts this program as the built-in name server.
func startOurs(ctx context.Context, _ string, records int) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return begin(ctx, "Postseal", runtime.Version(), port, self, serveWord, fmt.Sprintf("%d:%d", port, records))
}

// serveZone is the other process of startOurs.
func serveZone(what string) error {
	port, count, _ := strings.Cut(what, ":")
	records, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	m := builtin.NewMemory(origin)
	ctx := context.Background()
	for i := range records {
		if _, err := m.SwapRecordSet(ctx, origin, keyName(i), "TXT", nil, []string{keyValue(i)}, 3600); err != nil {
			return err
		}
	}
	s, err := nameserver.New(nameserver.Config{Listen: "127.0.0.1:" + port, Names: []string{"ns1.example.net", "ns2.example.net"}, Source: m, Version: m.Version})
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {}
}

func startKnot(ctx context.Context, dir string, records int) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "knot.conf")
	err = errors.Join(os.WriteFile(filepath.Join(dir, "zone"), []byte(zoneFile(records)), 0o644), os.WriteFile(conf, fmt.Appendf(nil, `
server:
    rundir: %[1]s
    listen: 127.0.0.1@%[2]d
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: %[1]s
log:
  - target: stderr
    any: warning
zone:
  - domain: %[3]s
    storage: %[1]s
    file: zone
    zonefile-sync: -1
`, dir, port, origin), 0o644))
	if err != nil {
		return nil, err
	}
	return begin(ctx, "Knot", version("knotd", "--version"), port, "knotd", "-c", conf)
}

func startNSD(ctx context.Context, dir string, records int) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `
server:
    ip-address: 127.0.0.1
    port: %[2]d
    server-count: 1
    reuseport: no
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    minimal-responses: yes
    username: ""
    zonesdir: "%[1]s"
    database: ""
    zonelistfile: "%[1]s/zone.list"
    xfrdfile: "%[1]s/xfrd.state"
    xfrdir: "%[1]s"
    pidfile: "%[1]s/nsd.pid"
    verbosity: 0
remote-control:
    control-enable: no
zone:
    name: "%[3]s"
    zonefile: "zone"
`, dir, port, origin), 0o644); err != nil {
		return nil, err
	}
	return begin(ctx, "NSD", version("nsd", "-v"), port, "nsd", "-d", "-c", conf)
}

// version is the first line that a program says of itself.
func version(program string, arg string) string {
	out, _ := exec.Command(program, arg).CombinedOutput()
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}

// sameAnswers asks all servers a sample of the questions.
func sameAnswers(servers []*server, records int) error {
	for i := 0; i < records; i += max(records/50, 1) {
		for _, name := range []string{keyName(i), "no" + keyName(i)} {
			var want []string
			for _, s := range servers {
				r, err := s.ask(name)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				have := []string{dns.RcodeToString[r.Rcode]}
				for _, rr := range slices.Concat(r.Answer, r.Ns) {
					if txt, ok := rr.(*dns.TXT); ok {
						have = append(have, strings.Join(txt.Txt, ""))
					} else {
						have = append(have, dns.TypeToString[rr.Header().Rrtype])
					}
				}
				if want == nil {
					want = have
				}
				if !slices.Equal(have, want) {
					return fmt.Errorf("%s says %q of %s, %s says %q", s.name, have, name, servers[0].name, want)
				}
			}
		}
	}
	return nil
}
