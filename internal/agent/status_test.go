package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

func TestStatusOverTheSocket(t *testing.T) {
	r := newRig(t, func(c *Config) { c.StatusSocket = "" })
	if _, err := ReadStatus(t.Context(), r.cfg); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("without an agent: %v", err)
	}
	r.assign("example.org", edKey("old", "s1"), edKey("new", "s2"))
	r.assign("example.net")
	r.start()
	r.bring("example.org", "old", "s1", 1)
	r.change("new", func(k *agentapi.Key) { k.Want, k.Rank = agentapi.WantSign, 2 }) // its record is not there
	r.plane.awaitReport(t, "the missing record", func(rep agentapi.Report) bool { return keyReport(rep, "new").Error != "" })
	m := dialMTA(t, r.agent, 0, mtaOptions{})
	m.send(simpleMail("ann@example.org", "hello\r\n"), 0)
	m.send(simpleMail("ann@example.net", "hello\r\n"), 0)
	s, err := ReadStatus(t.Context(), r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Listeners) != 2 || s.Listeners[0].Sign != "outbound" || s.Listeners[1].Sign != "auto" || s.Listeners[0].Address != r.agent.Addrs()[0].String() {
		t.Errorf("listeners %+v", s.Listeners)
	}
	if len(s.Assignments) != 2 || !s.Assignments[0].Signs || s.Assignments[1].Signs || len(s.Assignments[0].Keys) != 2 {
		t.Fatalf("assignments %+v", s.Assignments)
	}
	if k := s.Assignments[0].Keys[0]; k.ID != "old" || k.Selector != "s1" || !k.Signing || k.Signed != 1 || k.SignedAgeSeconds < 0 {
		t.Errorf("%+v", k)
	}
	if k := s.Assignments[0].Keys[1]; k.ID != "new" || k.Signing || k.Problem == "" || k.SignedAgeSeconds != -1 {
		t.Errorf("%+v", k)
	}
	if s.Unsigned["no_key"] != 1 || !s.ControlPlane.Reached || s.ControlPlane.Version != r.plane.wanted.Version {
		t.Errorf("%+v %+v", s.Unsigned, s.ControlPlane)
	}
	info, err := os.Stat(filepath.Join(r.cfg.StateDirectory, "status.sock"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
