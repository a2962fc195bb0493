package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agent"
	"github.com/postseal/postseal/internal/agentapi"
)

// agentPlane is a control plane that lets anyone join and wants one key; it returns its address and a token.
func agentPlane(t *testing.T) (url, token string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(public any, usage x509.ExtKeyUsage) []byte {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: template.NotBefore, NotAfter: template.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, template, public, key)
		if err != nil {
			t.Error(err)
		}
		return der
	}
	encode := func(der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	quit := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agent/v1/join", func(w http.ResponseWriter, r *http.Request) {
		var in agentapi.JoinRequest
		_ = json.NewDecoder(r.Body).Decode(&in)
		csr, err := x509.ParseCertificateRequest(in.CSR)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(agentapi.JoinResponse{ServerID: "srv_1", ServerName: "mx1", Installation: "i", Epoch: 1, Certificate: encode(issue(csr.PublicKey, x509.ExtKeyUsageClientAuth)), Authorities: encode(ca), RenewAfter: time.Now().Add(time.Hour)})
	})
	mux.HandleFunc("POST /agent/v1/poll", func(w http.ResponseWriter, r *http.Request) {
		var in agentapi.PollRequest
		_ = json.NewDecoder(r.Body).Decode(&in)
		if in.Have == 1 {
			select {
			case <-quit:
			case <-r.Context().Done():
			}
			return
		}
		_ = json.NewEncoder(w).Encode(agentapi.Instructions{Version: 1, Installation: "i", Epoch: 1, Assignments: []agentapi.Assignment{{ID: "as_1", Domain: "example.org", NoKey: agentapi.NoKeyPass, Keys: []agentapi.Key{{ID: "key_1", Selector: "s1", Algorithm: "ed25519", Want: agentapi.WantSign}}}}})
	})
	mux.HandleFunc("POST /agent/v1/report", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(agentapi.ReportResponse{Latest: 1})
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{{Certificate: [][]byte{issue(key.Public(), x509.ExtKeyUsageServerAuth), ca}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(func() { close(quit); server.Close() })
	pin := sha256.Sum256(ca)
	return server.URL, "psj1.t." + strings.Repeat("A", 43) + "." + hex.EncodeToString(pin[:])
}

// syncBuffer is read while a command writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func agentCommand(ctx context.Context, stdout, stderr io.Writer, args ...string) int {
	root := newRoot()
	root.SetOut(stdout)
	root.SetErr(stderr)
	return run(ctx, root, append([]string{"agent"}, args...))
}

func TestAgentJoinRunStatus(t *testing.T) {
	url, token := agentPlane(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yaml")
	tokenFile := filepath.Join(dir, "token")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := "state_directory: " + dir + "/state\nsealing_key: {file: " + dir + "/sealing.key}\ncheck_record: off\n"
	write(config, base+"listeners: [{address: \"127.0.0.1:0\", sign: auto}]\n")
	write(tokenFile, token+"\n")

	var out, errs syncBuffer
	if code := agentCommand(t.Context(), &out, &errs, "run", "--config", config); code != 2 || !strings.Contains(errs.String(), "no sealing key") {
		t.Errorf("run before join: %d\n%s", code, &errs)
	}
	if code := agentCommand(t.Context(), &out, &errs, "status", "--config", config); code != 2 || !strings.Contains(errs.String(), "no agent runs here") {
		t.Errorf("status before run: %d\n%s", code, &errs)
	}
	if code := agentCommand(t.Context(), &out, &errs, "join", url, "--config", config, "--token-file", tokenFile); code != 0 || out.String() != "joined as mx1 (srv_1)\n" || !strings.Contains(errs.String(), "made a sealing key: "+dir+"/sealing.key") {
		t.Fatalf("join: %d\n%s\n%s", code, &out, &errs)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var runOut, runLog syncBuffer
	ended := make(chan int, 1)
	go func() { ended <- agentCommand(ctx, &runOut, &runLog, "run", "--config", config) }()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("run ended with %d", code)
		}
		if t.Failed() {
			t.Logf("log:\n%s", &runLog)
		}
	})
	status := func() (s agent.Status, code int) {
		var out, errs syncBuffer
		code = agentCommand(t.Context(), &out, &errs, "status", "--json", "--config", config)
		_ = json.Unmarshal([]byte(out.String()), &s)
		return s, code
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for: %s", what)
			}
		}
	}
	wait("a signing key", func() bool {
		s, code := status()
		return code == 0 && len(s.Assignments) == 1 && s.Assignments[0].Signs
	})
	var table syncBuffer
	if code := agentCommand(t.Context(), &table, io.Discard, "status", "--config", config); code != 0 {
		t.Errorf("status: %d", code)
	}
	for _, want := range []string{"mx1", "example.org", "s1", "signing", "never", url} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &table)
		}
	}

	explain := func(message string, args ...string) (string, int) {
		var out syncBuffer
		root := newRoot()
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetIn(strings.NewReader(message))
		code := run(t.Context(), root, append([]string{"agent", "explain", "--config", config}, args...))
		return out.String(), code
	}
	if out, code := explain("From: ann@example.org\n\n", "--login", "ann", "--from", "<ann@example.org>", "--macro", "app=x"); code != 0 || !strings.Contains(out, "d=example.org s=s1") {
		t.Errorf("explain: %d\n%s", code, out)
	}
	if out, code := explain("From: ann@example.net\n\n", "--outbound", "-"); code != 1 || !strings.Contains(out, "not signed, passed: not_assigned") {
		t.Errorf("explain a foreign author: %d\n%s", code, out)
	}
	if out, code := explain("From: ann@example.org\n\n", "--client", "127.0.0.1"); code != 1 || !strings.Contains(out, "passes untouched") {
		t.Errorf("explain mail of others: %d\n%s", code, out)
	}
	if out, code := explain("From: ann@example.org\n\n", "--client", "mx1"); code != 2 || !strings.Contains(out, "--client") {
		t.Errorf("explain a wrong flag: %d\n%s", code, out)
	}

	// A broken file on SIGHUP changes nothing and is complained about; a good one is taken.
	write(config, base+"listeners: [{adress: x}]\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait("the complaint", func() bool {
		return strings.Contains(runLog.String(), "old one stays in force") && strings.Contains(runLog.String(), "adress")
	})
	if strings.Contains(runLog.String(), "configuration taken") {
		t.Error("the broken file was taken")
	}
	write(config, base+"listeners: [{address: \"127.0.0.1:0\", sign: outbound}, {address: \"127.0.0.1:0\", sign: auto}]\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait("the new listeners", func() bool { s, _ := status(); return len(s.Listeners) == 2 && s.Listeners[0].Sign == "outbound" })
	if runOut.String() != "" {
		t.Errorf("run printed to stdout: %s", &runOut)
	}
}

func TestAgentCommandsSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yaml")
	open := filepath.Join(dir, "token")
	if err := os.WriteFile(config, []byte("state_directory: "+dir+"/state\nsealing_key: {file: "+dir+"/k}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, []byte("psj1.a.b.c"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"join"}, "arg"},
		{[]string{"join", "https://127.0.0.1:1", "--config", filepath.Join(dir, "none")}, "there is no"},
		{[]string{"join", "https://127.0.0.1:1", "--config", config, "--token-file", filepath.Join(dir, "none")}, "no token file"},
		{[]string{"join", "https://127.0.0.1:1", "--config", config, "--token-file", open}, "mode 0644"},
		{[]string{"join", "mx1", "--config", config, "--token-file", "/dev/null"}, "not the address of a control plane"},
		{[]string{"run", "--config", filepath.Join(dir, "none")}, "example lies beside"},
		{[]string{"status", "--config", config}, "no agent runs here"},
	} {
		var errs syncBuffer
		if code := agentCommand(t.Context(), io.Discard, &errs, c.args...); code != 2 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: %d\n%s", c.args, code, &errs)
		}
	}
}
