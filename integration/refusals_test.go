package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
)

// startRefuser is a receiver that takes no message and says why, as Gmail does.
func startRefuser(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	session := func(conn net.Conn) {
		defer conn.Close()
		fmt.Fprint(conn, "220 mx.example.net ESMTP\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			answer := "250 2.0.0 Ok\r\n"
			switch verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " "); verb {
			case "DATA":
				fmt.Fprint(conn, "354 go on\r\n")
				for lines.Scan() && lines.Text() != "." {
				}
				answer = "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\r\n550 5.7.26  DKIM = did not pass\r\n"
			case "QUIT":
				fmt.Fprint(conn, "221 2.0.0 Bye\r\n")
				return
			}
			fmt.Fprint(conn, answer)
		}
	}
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { session(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// TestReceiversRefuse: what a receiver says to a server's Postfix stands in the control plane a moment later: with the server, as a finding, in the status.
func TestReceiversRefuse(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	out := startPostfix(t, o.dir, "out", "inet:"+o.milters["mx1"], startRefuser(t))
	log := filepath.Join(o.dir, "out", "mail.log")
	config, err := os.ReadFile(o.agentConfigs["mx1"])
	if err != nil {
		t.Fatal(err)
	}
	write(t, o.agentConfigs["mx1"], string(config)+fmt.Sprintf("mta_log: {file: %q, kind: postfix}\n", log))
	o.agents["mx1"].stop()
	o.startAgent("mx1")
	within(t, 20*time.Second, "the agent reads the log", func() bool {
		var s struct {
			Log *struct{ File string } `json:"mta_log"`
		}
		text, _, _ := product(t, "agent", "status", "--json", "--config", o.agentConfigs["mx1"])
		return json.Unmarshal([]byte(text), &s) == nil && s.Log != nil && s.Log.File == log
	})
	if err := post(out, "shop@"+zone, "not wanted"); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "the server is shown with it", func() bool {
		var s client.Server
		if err := json.Unmarshal([]byte(o.postseal("server", "show", "mx1", "--json")), &s); err != nil {
			t.Fatal(err)
		}
		// The notification to the sender is refused as well, and has none.
		return slices.ContainsFunc(s.Refused, func(r client.Refused) bool {
			return r.Domain == zone && r.Code == "5.7.26" && r.Messages == 1 && r.Permanent
		})
	})
	for _, args := range [][]string{{"finding", "list"}, {"status", zone}} {
		text, _ := o.try(args...) // an error makes the exit status 1
		for _, words := range []string{"RCV-01", "refuses mail of " + zone + " from mx1: 1 message since ", "5.7.26 Your email has been blocked because the sender is unauthenticated. DKIM = did not pass"} {
			if !strings.Contains(text, words) {
				t.Errorf("%v does not say %q:\n%s", args, words, text)
			}
		}
	}
	if text := o.postseal("server", "show", "mx1"); !strings.Contains(text, "refused by") || !strings.Contains(text, "1 × "+zone) {
		t.Error(text)
	}
	if text, _, _ := product(t, "agent", "status", "--config", o.agentConfigs["mx1"]); !strings.Contains(text, "REFUSED BY") || !strings.Contains(text, "5.7.26") {
		t.Error(text)
	}
}
