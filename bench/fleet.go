package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// fleetYAML is a control plane whose own name server holds the zone, with one mail server. %[1]s: the name server. Waits are seconds.
const fleetYAML = `policy: {test_mode: true, min_wait: 2s, ttl: 1s, retention: 300s, tombstone: 3s, rotate_every: 180d}
dns: {resolvers: [%[1]q], authorities: {` + domain + `: [%[1]q]}}
publishers:
  own: {builtin: {zone: ` + domain + `}}
servers: {mx1: {}}
domains:
  ` + domain + `:
    mode: managed
    publisher: own
    signers: [{server: mx1}]
`

// buildPostseal builds the product as it is released: static, without cgo.
func buildPostseal(ctx context.Context, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	build := on(ctx, os.Getenv(processors), "go", "build", "-C", "..", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/postseal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build postseal (run this in the folder bench): %w\n%s", err, out)
	}
	return nil
}

// startPostseal starts a control plane, lets an agent join it, and waits until its milter signs.
func startPostseal(ctx context.Context, dir, binary string) (*milterServer, error) {
	m := &milterServer{name: oursMilter, socket: filepath.Join(dir, "agent.sock")}
	if err := m.startFleet(ctx, dir, binary); err != nil {
		m.stopAll()
		return nil, err
	}
	return m, nil
}

func (m *milterServer) startFleet(ctx context.Context, dir, binary string) error {
	api, err := freeAddr()
	if err != nil {
		return err
	}
	names, err := freeAddr()
	if err != nil {
		return err
	}
	data, fleet, config, token := filepath.Join(dir, "control-plane"), filepath.Join(dir, "fleet.yaml"), filepath.Join(dir, "agent.yaml"), filepath.Join(dir, "mx1.token")
	agentYAML := fmt.Sprintf("state_directory: %s\nsealing_key: {file: %s}\nlisteners:\n  - {address: \"unix:%s\", sign: outbound}\nresolver: [%q]\nlog: {level: warn}\n",
		filepath.Join(dir, "agent"), filepath.Join(dir, "sealing.key"), m.socket, names)
	for path, text := range map[string]string{fleet: fmt.Sprintf(fleetYAML, names), config: agentYAML} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	serve, err := startProgram(ctx, binary, "serve", "--data", data, "--listen", api, "--host", "127.0.0.1", "--config", fleet,
		"--dns-listen", names, "--dns-name", "ns1.postseal.example", "--dns-negative-ttl", "1s", "--poll", "200ms")
	if err != nil {
		return err
	}
	m.helpers = append(m.helpers, serve)
	if err := until(ctx, startWithin, "the control plane listens", func() bool {
		_, err := os.Stat(filepath.Join(data, "admin.json")) // the commands below need it
		return err == nil && dials("tcp", api)
	}); err != nil {
		return fmt.Errorf("%w\n%s", err, serve.log.String())
	}
	for _, args := range [][]string{
		{"token", "add", "--server", "mx1", "--out", token, "--data", data},
		{"agent", "join", "https://" + api, "--config", config, "--token-file", token},
	} {
		if out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("postseal %s: %w\n%s", args[0], err, out)
		}
	}
	if m.program, err = startProgram(ctx, binary, "agent", "run", "--config", config); err != nil {
		return err
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, names)
	}}
	m.lookup = cached(func(name string) ([]string, error) { return resolver.LookupTXT(ctx, name+".") })
	if err := m.awaitSigning(ctx, domain); err != nil {
		return fmt.Errorf("%w\ncontrol plane: %s", err, serve.log.String())
	}
	return nil
}

// cached keeps answers: what is verified here is signatures, not the name server's speed.
func cached(lookup func(string) ([]string, error)) func(string) ([]string, error) {
	known := map[string][]string{}
	return func(name string) ([]string, error) {
		if txt, ok := known[name]; ok {
			return txt, nil
		}
		txt, err := lookup(name)
		if err == nil {
			known[name] = txt
		}
		return txt, err
	}
}

// freeAddr is a loopback address that is free for TCP and UDP at this moment.
func freeAddr() (string, error) {
	var last error
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := l.Addr().String()
		_ = l.Close()
		p, err := net.ListenPacket("udp", addr)
		if err == nil {
			return addr, p.Close()
		}
		last = err
	}
	return "", last
}

func dials(network, addr string) bool {
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
