package demo

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// serviceZone is the outside service's own zone; our CNAME points into it.
const serviceZone = "wl4711.sendgrid.net"

// service is an outside sender: it has its own key, its own name server, and signs for our domain with it.
type service struct {
	key   crypto.Signer
	names *nameserver.Server
	sent  atomic.Int64
}

// target is where the service asks the customer's CNAME to point.
func (*service) target() string { return "s1.domainkey.u4711." + serviceZone }

func startService(ctx context.Context) (*service, error) {
	key, err := dkim.GenerateKey(dkim.RSA2048, rand.Reader)
	if err != nil {
		return nil, err
	}
	record, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		return nil, err
	}
	s := &service{key: key}
	zone := builtin.NewMemory(serviceZone)
	if _, err := zone.SwapRecordSet(ctx, serviceZone, s.target(), publisher.TXT, nil, []string{record}, 1); err != nil {
		return nil, err
	}
	s.names, err = nameserver.New(nameserver.Config{Source: zone, Listen: "127.0.0.1:0", Names: []string{"ns1.sendgrid.example"}, NegativeTTL: time.Second})
	if err != nil {
		return nil, err
	}
	return s, s.names.Start(ctx)
}

// send signs one message for domain and delivers it to the receiver, as such a service does.
func (s *service) send(domain, receiver string, n int) error {
	raw := fmt.Appendf(nil, "From: News <news@%s>\r\nTo: %s\r\nSubject: newsletter %d\r\nDate: %s\r\nMessage-ID: <%d@sendgrid.example>\r\nX-Demo-Via: sendgrid\r\n\r\nHello\r\n",
		domain, recipient(n), n, time.Now().Format(time.RFC1123Z), n)
	fields, err := dkim.SignMessage(bytes.NewReader(raw), dkim.Signing{Domain: domain, Selector: "s1", Key: s.key, Time: time.Now()})
	if err != nil {
		return err
	}
	s.sent.Add(1)
	return deliver("", receiver, "bounces@sendgrid.example", []string{recipient(n)}, append(bytes.Join(fields, nil), raw...))
}
