package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
)

// Stopping waits for the message under way, which is signed and counted, and not for connections that are idle.
func TestStopFinishesMessagesInFlight(t *testing.T) {
	r := signingRig(t, nil)
	dialMTA(t, r.agent, 0, mtaOptions{}) // idle
	stranger := dialMTA(t, r.agent, 1, mtaOptions{client: "203.0.113.9"})
	stranger.send(simpleMail("eve@example.net", "hello\r\n"), 0) // done, and idle
	slow := dialMTA(t, r.agent, 0, mtaOptions{})
	startSlow(t, slow)
	await(t, "the message is chosen for", func() bool { return r.agent.tables.current.Load().inFlight.Load() == 1 })

	addr := r.agent.Addrs()[0]
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	await(t, "idle connections are closed", func() bool { return r.agent.open.Load() == 1 })
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a message in flight: %v", err)
	default:
	}
	changes, _, err := slow.session.End()
	if err != nil || len(changes) != 1 || !strings.Contains(changes[0].HeaderValue, "s=mx1;") {
		t.Errorf("the message in flight: %v, %v", changes, err)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if _, err := tryDial(addr); err == nil {
		t.Error("the listener is still open")
	}
	r.plane.mu.Lock()
	last := r.plane.reports[len(r.plane.reports)-1]
	r.plane.mu.Unlock()
	if k := keyReport(last, "k"); k.Signed != 1 {
		t.Errorf("the last report says %+v", k)
	}
	r.start()
	r.plane.awaitReport(t, "the total after a restart", func(rep agentapi.Report) bool { return keyReport(rep, "k").Signed == 1 })
}

// A message that does not come to its end does not keep the agent from stopping.
func TestStopIsBounded(t *testing.T) {
	r := signingRig(t, nil)
	r.agent.pace.Grace = 50 * time.Millisecond
	slow := dialMTA(t, r.agent, 0, mtaOptions{})
	startSlow(t, slow)
	await(t, "the message is chosen for", func() bool { return r.agent.slots.Load() == 1 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := r.agent.slots.Load(); n != 0 {
		t.Errorf("%d messages under way after the stop", n)
	}
	if _, _, err := slow.session.End(); err == nil {
		t.Error("the session was not cut off")
	}
}

func TestReload(t *testing.T) {
	r := signingRig(t, nil)
	kept := dialMTA(t, r.agent, 1, mtaOptions{client: "203.0.113.9"})
	leaving := dialMTA(t, r.agent, 0, mtaOptions{})
	startSlow(t, leaving)
	await(t, "the message is chosen for", func() bool { return r.agent.tables.current.Load().inFlight.Load() == 1 })
	addrs := r.agent.Addrs()

	bad := r.cfg
	bad.Listeners = append([]Listener{}, r.cfg.Listeners...)
	bad.Listeners = append(bad.Listeners, Listener{Address: "0.0.0.0:1", Sign: "auto"})
	if err := r.agent.Reload(t.Context(), bad); err == nil {
		t.Error("a broken configuration was taken")
	}
	bad.Listeners[2] = Listener{Address: "unix:/no/such/directory/x.sock", Sign: "auto"}
	if err := r.agent.Reload(t.Context(), bad); err == nil {
		t.Error("a listener that cannot be opened was taken")
	}
	bad = r.cfg
	bad.StateDirectory = t.TempDir()
	if err := r.agent.Reload(t.Context(), bad); err == nil {
		t.Error("another state directory was taken")
	}
	if now := r.agent.Addrs(); len(now) != 2 || now[0] != addrs[0] || now[1] != addrs[1] {
		t.Fatalf("after broken configurations: %v", now)
	}

	// The first listener goes, the second stays under new rules, a third comes.
	next := r.cfg
	socket := t.TempDir() + "/m.sock"
	next.Listeners = []Listener{{Address: "127.0.0.1:0", Sign: "auto"}, {Address: "unix:" + socket, Sign: "outbound"}}
	next.Outbound.Networks = []string{"203.0.113.0/24"}
	// Both had the address 127.0.0.1:0, so tell which one stays.
	r.agent.sockets[0].spec.Load().address = "first"
	if err := r.agent.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	now := r.agent.Addrs()
	if len(now) != 2 || now[0].String() != addrs[1].String() || now[1].String() != socket {
		t.Fatalf("listeners %v", now)
	}
	if got := r.verified(kept.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("the new rules are not in force on the connection that stayed: signed by %q", got)
	}
	fresh := dialMTA(t, r.agent, 1, mtaOptions{})
	if got := r.verified(fresh.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("over the new socket: signed by %q", got)
	}
	if changes, _, err := leaving.session.End(); err != nil || len(changes) != 1 {
		t.Errorf("the message in flight on the listener that left: %v, %v", changes, err)
	}
	await(t, "the old listener is gone", func() bool { _, err := tryDial(addrs[0]); return err != nil })
}

// A disk that takes nothing is said; mail goes on being signed.
func TestADiskThatTakesNothingIsSaid(t *testing.T) {
	r := signingRig(t, nil)
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	m.send(simpleMail("ann@example.org", "the key is in memory after it\r\n"), 0)
	dir := r.agent.settings.Load().StateDirectory
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("signed by %q", got)
	}
	said := func() bool {
		for _, c := range r.agent.Status().Conditions {
			if c.Word == conditionDisk && strings.Contains(c.Message, "no such file") {
				return true
			}
		}
		return false
	}
	await(t, "the condition", said)
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	await(t, "the condition is gone", func() bool { return !said() })
}
