package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// joinedRig is an agent that joins its control plane over HTTPS.
func joinedRig(t testing.TB, plane *httpPlane) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.plane = plane.fakePlane
	r.overHTTP = true
	if _, err := Join(t.Context(), r.cfg, r.key, plane.url, plane.token("t1")); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFromTokenToSignedMail(t *testing.T) {
	plane := startHTTPPlane(t)
	r := joinedRig(t, plane)
	r.assign("example.org", edKey("k", "s1"))
	a := r.start()
	r.bring("example.org", "k", "s1", 1)
	m := dialMTA(t, a, 0, mtaOptions{})
	if got := r.verified(m.send(simpleMail("ann@example.org", "hello\r\n"), 0).raw); len(got) != 1 {
		t.Errorf("signed by %q", got)
	}
	s := a.Status()
	if s.Server.ID != "srv-1" || s.Server.Name != "mx1" || s.ControlPlane.URL != plane.url || !s.ControlPlane.Reached || s.ControlPlane.Installation != "inst-1" {
		t.Errorf("%+v %+v", s.Server, s.ControlPlane)
	}
	// Nothing in the state directory opens without the sealing key.
	err := filepath.WalkDir(r.cfg.StateDirectory, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type() != 0 {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "PRIVATE KEY") || strings.Contains(string(content), joinSecret) {
			t.Errorf("%s holds a secret in clear", path)
		}
		if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestJoinsThatFailLeaveEverythingAsItWas(t *testing.T) {
	plane := startHTTPPlane(t)
	other := startHTTPPlane(t)
	elsewhere := startHTTPPlane(t, "postseal.example")
	r := joinedRig(t, plane)
	before, err := os.ReadFile(filepath.Join(r.cfg.StateDirectory, fileIdentity))
	if err != nil {
		t.Fatal(err)
	}
	token := plane.token("t2")
	for _, c := range []struct {
		name, url, token string
		code             fault.Code
		want             string
	}{
		{"not https", strings.Replace(plane.url, "https", "http", 1), token, fault.Invalid, "not the address"},
		{"no URL", "mx1", token, fault.Invalid, "not the address"},
		{"empty token", plane.url, " \n", fault.Invalid, "is empty"},
		{"half a token", plane.url, token[:len(token)-10], fault.Invalid, "pin"},
		{"other kind", plane.url, "psx1" + token[4:], fault.Invalid, "form"},
		{"broken secret", plane.url, strings.Replace(token, joinSecret, "&&", 1), fault.Invalid, "secret"},
		{"unknown token", plane.url, strings.Replace(token, joinSecret, strings.ToUpper(joinSecret), 1), fault.Unauthenticated, "not known here"},
		{"used token", plane.url, plane.token("used"), fault.Expired, "used by another key"},
		{"another server", other.url, token, fault.Denied, "not the control plane that made the token"},
		{"another name", elsewhere.url, elsewhere.token("t"), fault.Denied, "not valid for 127.0.0.1"},
		{"nobody there", "https://127.0.0.1:1", token, fault.Unavailable, "cannot be reached"},
	} {
		plane.mu.Lock()
		plane.joins["used"] = []byte("somebody")
		plane.mu.Unlock()
		_, err := Join(t.Context(), r.cfg, r.key, c.url, c.token)
		if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%s), want %s, %q", c.name, err, fault.CodeOf(err), c.code, c.want)
		}
		if strings.Contains(err.Error(), joinSecret) {
			t.Errorf("%s: the secret is in the message", c.name)
		}
	}
	after, err := os.ReadFile(filepath.Join(r.cfg.StateDirectory, fileIdentity))
	if err != nil || string(after) != string(before) {
		t.Errorf("the identity changed (%v)", err)
	}
	r.start()
	await(t, "the identity works", func() bool { return r.agent.Status().ControlPlane.Reached })
}

// When the answer was lost on the way, the same token works again, because the key is the same.
func TestJoinCanBeRepeated(t *testing.T) {
	plane := startHTTPPlane(t)
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Join(ctx, r.cfg, r.key, plane.url, plane.token("t1")); err == nil {
		t.Fatal("joined without a connection")
	}
	for range 2 {
		j, err := Join(t.Context(), r.cfg, r.key, plane.url, plane.token("t1")+"\n")
		if err != nil || j.ServerID != "srv-1" {
			t.Fatalf("%+v, %v", j, err)
		}
	}
	ids, err := os.ReadDir(filepath.Join(r.cfg.StateDirectory, dirIdentity))
	if err != nil || len(ids) != 1 {
		t.Errorf("%d identity keys, %v", len(ids), err)
	}
}

func TestARunningAgentTakesANewJoin(t *testing.T) {
	plane := startHTTPPlane(t)
	r := joinedRig(t, plane)
	r.start()
	await(t, "contact", func() bool { return r.agent.Status().ControlPlane.Reached })
	plane.mu.Lock()
	clear(plane.accepted) // revoked
	plane.mu.Unlock()
	await(t, "the condition", func() bool {
		return slices.ContainsFunc(r.agent.Status().Conditions, func(c StatusCondition) bool { return c.Word == conditionIdentity })
	})
	if _, err := Join(t.Context(), r.cfg, r.key, plane.url, plane.token("t2")); err != nil {
		t.Fatal(err)
	}
	await(t, "contact with the new identity", func() bool {
		s := r.agent.Status()
		return s.ControlPlane.Reached && len(s.Conditions) == 0
	})
}

// A server that joins another installation follows that one, even where the numbers of both happen to be the same, and goes on signing
// with what it has until then.
func TestMovingToAnotherControlPlane(t *testing.T) {
	first := startHTTPPlane(t)
	r := joinedRig(t, first)
	r.assign("example.org", edKey("k", "s1"))
	r.start()
	r.made("k")
	second := startHTTPPlane(t)
	second.installation = "inst-2"
	second.wanted.Installation = "inst-2"
	second.want(func(in *agentapi.Instructions) {
		in.Assignments = []agentapi.Assignment{{ID: "a", Domain: "example.net", NoKey: agentapi.NoKeyPass, Keys: []agentapi.Key{edKey("n", "s1")}}}
	})
	if first.wanted.Version != second.wanted.Version {
		t.Fatalf("versions %d and %d: this shows nothing", first.wanted.Version, second.wanted.Version)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), r.cfg, r.key, second.url, second.token("t")); err != nil {
		t.Fatal(err)
	}
	r.plane = second.fakePlane
	r.start()
	report := r.plane.awaitReport(t, "the key of the new installation", func(rep agentapi.Report) bool { return keyReport(rep, "n").Has })
	if !keyReport(report, "k").Has {
		t.Error("the key of the old one is gone")
	}
}

func identityKeys(t *testing.T, r *rig) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.cfg.StateDirectory, dirIdentity))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestCertificatesAreRenewedWithANewKey(t *testing.T) {
	plane := startHTTPPlane(t)
	plane.renewAfter = -time.Second
	plane.loseRenewals = 2
	r := joinedRig(t, plane)
	before := identityKeys(t, r)
	r.start()
	await(t, "a renewal", func() bool { return plane.renewals() == 1 })
	await(t, "the old key is gone", func() bool {
		now := identityKeys(t, r)
		return len(now) == 1 && now[0] != before[0]
	})
	plane.mu.Lock()
	if len(plane.keys) != 3 || plane.keys[0] != plane.keys[2] {
		t.Errorf("lost answers were followed by other keys: %d", len(plane.keys))
	}
	plane.mu.Unlock()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.start()
	await(t, "contact after a restart", func() bool { return r.agent.Status().ControlPlane.Reached })
	if plane.renewals() != 1 {
		t.Errorf("%d renewals", plane.renewals())
	}
}

// A new certificate that does not work is given up for the old one, which still does.
func TestABadRenewalFallsBack(t *testing.T) {
	plane := startHTTPPlane(t)
	plane.renewAfter = -time.Second
	plane.refuseNew = true
	r := joinedRig(t, plane)
	r.start()
	await(t, "a renewal that fails", func() bool { return plane.renewals() >= 2 })
	plane.mu.Lock()
	plane.refuseNew = false
	plane.mu.Unlock()
	await(t, "a renewal that works", func() bool {
		return !r.agent.Status().Server.RenewAfter.Before(time.Now()) && r.agent.Status().ControlPlane.Reached && len(identityKeys(t, r)) == 1
	})
}

func TestAnAgentThatNeverJoinedSaysSo(t *testing.T) {
	r := newRig(t, nil)
	_, err := New(r.cfg, Deps{SealingKey: &r.key, Resolver: r.dns})
	if message, hint := fault.Show(err); fault.CodeOf(err) != fault.NotFound || !strings.Contains(message, "not joined") || !strings.Contains(hint, "agent join") {
		t.Errorf("%v (%s)", err, hint)
	}
}

func TestAnswersThatAreNotTheContract(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		code   fault.Code
		want   string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, fault.Unavailable, "cannot be read"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, fault.Unavailable, "302"},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, agentapi.MaxMessage+1))
		}, fault.Unavailable, "more than"},
		{"an error page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, fault.Unavailable, "502"},
		{"a refusal without words", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, fault.Denied, "403"},
		{"a refusal", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte(`{"code":"unauthenticated","message":"who\u001b[31m are you","hint":"join"}`))
		}, fault.Unauthenticated, "who [31m are you"},
		{"an unknown code", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"code":"weird","message":"changed"}`))
		}, fault.Conflict, "changed"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{`))
		}, fault.Unavailable, "cut short"},
	} {
		server := httptest.NewTLSServer(c.answer)
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		plane := newTransport(server.URL, &tls.Config{RootCAs: roots})
		_, err := plane.Poll(t.Context(), agentapi.PollRequest{})
		if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%s), want %s, %q", c.name, err, fault.CodeOf(err), c.code, c.want)
		}
		plane.close()
		server.Close()
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	roots := x509.NewCertPool()
	roots.AddCert(old.Certificate())
	plane := newTransport(old.URL, &tls.Config{RootCAs: roots})
	defer plane.close()
	var alert *tls.CertificateVerificationError
	if _, err := plane.Poll(t.Context(), agentapi.PollRequest{}); err == nil || errors.As(err, &alert) {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := plane.Report(t.Context(), agentapi.Report{Software: strings.Repeat("x", agentapi.MaxMessage)}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a message that is too large: %v", err)
	}
}

func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	if err := os.WriteFile(path, []byte("psj1.x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadTokenFile(path); err != nil || text != "psj1.x\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTokenFile(path); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "0644") {
		t.Errorf("%v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if _, err := ReadTokenFile(path); err != nil {
		t.Errorf("as a credential: %v", err)
	}
	if _, err := ReadTokenFile(filepath.Join(dir, "none")); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
}

func TestJoinMakesASealingKeyOnlyWhereThereIsNothingToOpen(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{StateDirectory: filepath.Join(dir, "state"), SealingKey: SealingKey{File: filepath.Join(dir, "etc", "sealing.key")}}
	first, made, err := cfg.JoinSealingKey()
	if err != nil || made != cfg.SealingKey.File {
		t.Fatalf("%q, %v", made, err)
	}
	second, made, err := cfg.JoinSealingKey()
	if err != nil || made != "" || second.String() != first.String() {
		t.Errorf("%q, %v", made, err)
	}
	if err := errors.Join(os.Remove(cfg.SealingKey.File), os.MkdirAll(filepath.Join(cfg.StateDirectory, dirKeys), 0o700), os.WriteFile(filepath.Join(cfg.StateDirectory, dirKeys, "k.key"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, made, err := cfg.JoinSealingKey(); fault.CodeOf(err) != fault.NotFound || made != "" {
		t.Errorf("with keys there: %q, %v", made, err)
	}
	if err := os.WriteFile(cfg.SealingKey.File, make([]byte, 32), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cfg.JoinSealingKey(); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("readable by others: %v", err)
	}
}
