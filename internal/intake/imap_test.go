package intake

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// oddServer is an IMAP server as no real one is: answers are what the test says. It serves one mailbox with the messages 1 to n.
type oddServer struct {
	t        testing.TB
	ln       net.Listener
	greeting string
	answer   func(w io.Writer, command string) bool // true = that was the answer
	wg       sync.WaitGroup
}

func startOddServer(t testing.TB, greeting string, answer func(w io.Writer, command string) bool) *oddServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &oddServer{t: t, ln: ln, greeting: greeting, answer: answer}
	ctx, cancel := context.WithCancel(context.Background())
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		s.wg.Wait()
	})
	return s
}

func (s *oddServer) serve(conn net.Conn) {
	if s.greeting != "" {
		s.answer(conn, s.greeting)
		return
	}
	fmt.Fprint(conn, "* OK [CAPABILITY IMAP4rev1 MOVE] hello\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		if s.answer(conn, command) {
			fmt.Fprintf(conn, "%s OK done\r\n", tag)
			continue
		}
		switch {
		case command == "CAPABILITY":
			fmt.Fprint(conn, "* CAPABILITY IMAP4rev1 MOVE\r\n")
		case strings.HasPrefix(command, "LIST"):
			fmt.Fprintf(conn, "* LIST () \"/\" %s\r\n", command[strings.LastIndexByte(command, ' ')+1:])
		case strings.HasPrefix(command, "SELECT"):
			fmt.Fprint(conn, "* 2 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n")
		case strings.HasPrefix(command, "UID SEARCH"):
			fmt.Fprint(conn, "* SEARCH 1 2\r\n")
		}
		fmt.Fprintf(conn, "%s OK done\r\n", tag)
	}
}

func (s *oddServer) mailbox() Mailbox {
	return Mailbox{Address: s.ln.Addr().String(), Encryption: NoTLS, User: "ann", Password: password(imapPassword), Poll: time.Hour}
}

// runOdd runs a mailbox that is tried again soon.
func runOdd(t *testing.T, r *rig, box Mailbox) *Intake {
	t.Helper()
	r.needs.Log = nil
	return runMailbox(t, r, box, 10*time.Millisecond)
}

// runMailbox runs a mailbox that is tried again after a fixed time.
func runMailbox(t *testing.T, r *rig, box Mailbox, again time.Duration) *Intake {
	t.Helper()
	in, err := New(Config{Mailboxes: []Mailbox{box}}, r.needs)
	if err != nil {
		t.Fatal(err)
	}
	in.ways[0].(*mailbox).wait.first, in.ways[0].(*mailbox).wait.last = again, again
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return in
}

// Sizes are a guess for some servers: what is larger than was said is taken, what is too large is put aside, and the others are not kept from going on.
func TestMailboxWithWrongSizes(t *testing.T) {
	r := newRig(t)
	mail := r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 500)))
	var mu sync.Mutex
	var moved []string
	s := startOddServer(t, "", func(w io.Writer, command string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.HasPrefix(command, "UID SEARCH"):
			fmt.Fprint(w, "* SEARCH")
			for _, uid := range []string{"1", "2"} {
				if !strings.Contains(strings.Join(moved, "\n"), "UID MOVE "+uid) {
					fmt.Fprint(w, " "+uid)
				}
			}
			fmt.Fprint(w, "\r\n")
		case strings.Contains(command, "RFC822.SIZE"):
			fmt.Fprint(w, "* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n* 2 FETCH (UID 2 RFC822.SIZE 10)\r\n")
		case strings.HasPrefix(command, "UID FETCH 1 "):
			fmt.Fprintf(w, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", int64(maxInput+1))
			_, _ = io.Copy(w, io.LimitReader(endless{[]byte("x")}, maxInput+1))
			fmt.Fprint(w, ")\r\n")
		case strings.HasPrefix(command, "UID FETCH 2 "):
			fmt.Fprintf(w, "* 2 FETCH (UID 2 BODY[] {%d}\r\n%s)\r\n", len(mail), mail)
		case strings.HasPrefix(command, "UID MOVE"):
			moved = append(moved, command)
		default:
			return false
		}
		return true
	})
	in := runOdd(t, r, s.mailbox())
	await(t, "both are moved", func() bool { mu.Lock(); defer mu.Unlock(); return len(moved) == 2 })
	same(t, "moved", moved, "UID MOVE 1 \"Postseal-unread\"", "UID MOVE 2 \"Postseal\"")
	if got := r.shelf.kept(); len(got) != 1 || string(got[0].Octets) != string(mail) {
		t.Errorf("%d arrivals", len(got))
	}
	if n := in.Status()[0].Counts; n.Refused != 1 || n.Stored != 1 {
		t.Errorf("%+v", n)
	}
}

// A server that answers without end, with numbers that nobody has, or in the middle of a message with silence, costs neither memory nor mail.
func TestMailboxOfAHostileServer(t *testing.T) {
	for name, c := range map[string]struct {
		greeting string
		answer   func(w io.Writer, command string) bool
	}{
		"a greeting without end": {"hello", func(w io.Writer, _ string) bool {
			fmt.Fprint(w, "* OK ")
			_, _ = io.Copy(w, endless{[]byte("x")})
			return true
		}},
		"no greeting": {"hello", func(w io.Writer, _ string) bool { fmt.Fprint(w, "\x16\x03\x01 garbage\r\n\r\n"); return true }},
		"a search without end": {"", func(w io.Writer, command string) bool {
			if strings.HasPrefix(command, "UID SEARCH") {
				fmt.Fprint(w, "* SEARCH")
				_, _ = io.Copy(w, endless{[]byte(" 7")})
			}
			return false
		}},
		"a text without end": {"", func(w io.Writer, command string) bool {
			if strings.HasPrefix(command, "LOGIN") {
				fmt.Fprint(w, "* OK ")
				_, _ = io.Copy(w, endless{[]byte(imapPassword)})
			}
			return false
		}},
		"half a message": {"", func(w io.Writer, command string) bool {
			switch {
			case strings.Contains(command, "RFC822.SIZE"):
				fmt.Fprint(w, "* 1 FETCH (UID 1 RFC822.SIZE 100)\r\n")
				return true
			case strings.HasPrefix(command, "UID FETCH 1 "):
				fmt.Fprint(w, "* 1 FETCH (UID 1 BODY[] {100}\r\nFrom: a@b.example\r\n")
				_ = w.(net.Conn).Close()
			}
			return false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := startOddServer(t, c.greeting, c.answer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			in := runOdd(t, r, s.mailbox())
			await(t, "the trouble is told", func() bool { return in.Status()[0].Error != "" })
			runtime.ReadMemStats(&after)
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 64*maxAnswer {
				t.Errorf("%d octets were allocated", grown)
			}
			if got := in.Status()[0]; r.shelf.asked() != 0 || strings.Contains(got.Error, imapPassword) {
				t.Errorf("%d were stored; %+v", r.shelf.asked(), got)
			}
			t.Logf("%s", in.Status()[0].Error)
		})
	}
	// A range of all numbers is as long as is listed at once.
	s := startOddServer(t, "", func(w io.Writer, command string) bool {
		if strings.HasPrefix(command, "UID SEARCH") {
			fmt.Fprint(w, "* ESEARCH (TAG \"x\") UID ALL 1:4294967295\r\n")
			return true
		}
		return false
	})
	box := s.mailbox()
	if err := box.complete(); err != nil {
		t.Fatal(err)
	}
	c, err := dialIMAP(t.Context(), &box)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if uids, err := c.list(t.Context()); len(uids) > maxListed || err != nil && len(uids) > 0 {
		t.Errorf("%d are listed, %v", len(uids), err)
	}
}
