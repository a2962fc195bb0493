package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/dkim"
)

// receiver takes mail by SMTP, verifies it at arrival, keeps it, and verifies everything again when asked.
type receiver struct {
	resolver dkim.Resolver
	server   *smtp.Server
	listener net.Listener
	done     chan struct{}

	mu   sync.Mutex
	kept []arrival
}

// arrival is one message and what became of it.
type arrival struct {
	raw      []byte
	from     string // sender's envelope: tells the stream of the demo's traffic
	source   string // address that it came from
	receiver string // domain of the first recipient
	via      string // mail server that it came through
	selector string // of the passing signature, else of the first one; "" = unsigned
	domain   string
	passed   bool
	reason   string
	signed   bool
}

func startReceiver(resolver dkim.Resolver) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	r := &receiver{resolver: resolver, listener: listener, done: make(chan struct{})}
	r.server = newSMTP("receiver.example", smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		source, _, err := net.SplitHostPort(c.Conn().RemoteAddr().String())
		return &receiverSession{r: r, source: source}, err
	}))
	go func() {
		defer close(r.done)
		_ = r.server.Serve(listener)
	}()
	return r, nil
}

func (r *receiver) addr() string { return r.listener.Addr().String() }

func (r *receiver) stop() {
	_ = r.server.Close()
	<-r.done
}

type receiverSession struct {
	r        *receiver
	source   string
	from, to string
}

func (s *receiverSession) Reset()        { s.from, s.to = "", "" }
func (s *receiverSession) Logout() error { return nil }

func (s *receiverSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *receiverSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.to == "" {
		_, s.to, _ = strings.Cut(to, "@")
	}
	return nil
}

func (s *receiverSession) Data(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	a := s.r.judge(context.Background(), raw)
	a.from, a.source, a.receiver = s.from, s.source, s.to
	s.r.mu.Lock()
	s.r.kept = append(s.r.kept, a)
	s.r.mu.Unlock()
	return nil
}

// judge verifies one message through live DNS.
func (r *receiver) judge(ctx context.Context, raw []byte) arrival {
	a := arrival{raw: raw, via: headerOf(raw, "X-Demo-Via")}
	results, err := dkim.VerifyMessage(ctx, bytes.NewReader(raw), dkim.VerifyOptions{Resolver: r.resolver})
	if err != nil {
		a.reason = err.Error()
		return a
	}
	for i, result := range results {
		a.signed = true
		if i == 0 || result.Result == dkim.Pass && !a.passed {
			a.selector, a.domain, a.reason = result.Selector, result.Domain, string(result.Reason)
			a.passed = result.Result == dkim.Pass
		}
	}
	return a
}

// again verifies every message kept once more and returns how each fared, in the order of arrival.
func (r *receiver) again(ctx context.Context) []arrival {
	var out []arrival
	for _, a := range r.messages() {
		second := r.judge(ctx, a.raw)
		second.from = a.from
		out = append(out, second)
	}
	return out
}

func (r *receiver) messages() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.kept...)
}

// headerOf returns the value of the first header field of that name.
func headerOf(raw []byte, name string) string {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for _, field := range splitFields(head) {
		if n, v, ok := strings.Cut(field, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
