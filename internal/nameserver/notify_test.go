package nameserver

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A secondary that does not answer, or with an error, is told again, later each time; of the newest state only, and not for ever.
func TestNotifyAgain(t *testing.T) {
	s, _ := testServer()
	s.config.Key = &Key{Name: "transfer.", Algorithm: dns.HmacSHA256, Secret: "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzIGw="}
	s.now = time.Now
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	n := newNotifier(s, socket.LocalAddr().String())
	n.wait = 20 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		n.run(ctx)
		close(ended)
	}()
	defer func() {
		stop()
		<-ended
	}()
	// receive reads one NOTIFY, which must be signed and about the zone, and answers it with rcode; a negative one is no answer.
	receive := func(serial uint32, rcode int) {
		t.Helper()
		buf := make([]byte, dns.MaxMsgSize)
		if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		size, from, err := socket.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no NOTIFY: %v", err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:size]); err != nil {
			t.Fatal(err)
		}
		record := m.IsTsig()
		if record == nil || dns.TsigVerify(append([]byte(nil), buf[:size]...), s.config.Key.Secret, "", false) != nil {
			t.Fatalf("not signed: %v", m)
		}
		soa, ok := m.Answer[0].(*dns.SOA)
		if m.Opcode != dns.OpcodeNotify || m.Question[0] != (dns.Question{Name: "example.org.", Qtype: dns.TypeSOA, Qclass: dns.ClassINET}) || !ok || soa.Serial != serial {
			t.Fatalf("want serial %d: %v", serial, m)
		}
		if rcode < 0 {
			return
		}
		r := new(dns.Msg)
		r.SetReply(m)
		r.Rcode = rcode
		r.SetTsig(record.Hdr.Name, record.Algorithm, tsigFudge, time.Now().Unix())
		out, _, err := dns.TsigGenerate(r, s.config.Key.Secret, record.MAC, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := socket.WriteTo(out, from); err != nil {
			t.Fatal(err)
		}
	}
	at := func(serial uint32) *zone {
		stored := fuzzZones()[0]
		stored.Serial = serial
		z, _ := compile(&s.config, stored)
		return z
	}
	n.changed(at(1))
	receive(1, -1)
	receive(1, dns.RcodeServerFailure)
	receive(1, dns.RcodeSuccess)
	// Nothing more about serial 1: the next word is about serial 3.
	n.changed(at(3))
	receive(3, -1)
	n.changed(at(4))
	receive(4, dns.RcodeSuccess)
	n.changed(at(5))
	for range notifyTries {
		receive(5, -1)
	}
	n.changed(at(6))
	receive(6, dns.RcodeSuccess)
}
