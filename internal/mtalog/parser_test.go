package mtalog_test

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

var (
	now  = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	cet  = time.FixedZone("CET", 3600)
	tick = func(hour, minute, second int) time.Time {
		return time.Date(2026, 11, 27, hour, minute, second, 0, time.UTC)
	}
)

func parser(t testing.TB, kind mtalog.Kind, zone *time.Location) *mtalog.Parser {
	t.Helper()
	p, err := mtalog.NewParser(kind, zone)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func refusals(t *testing.T, kind mtalog.Kind, zone *time.Location, log []byte) (found []mtalog.Refusal) {
	t.Helper()
	p := parser(t, kind, zone)
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		if r, ok := p.Line(lines.Bytes(), now); ok {
			found = append(found, r)
		}
	}
	return found
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	log, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// What the receivers of the logs in testdata say; the logs are those of the real programs.
const (
	gmailText     = "Your email has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM. Authentication results: DKIM = did not pass SPF [example.org] with ip: [192.0.2.1] = did not pass For instructions on setting up authentication, go to https://support.google.com/mail/answer/81126#authentication"
	microsoftText = "Access denied, sending domain EXAMPLE.ORG doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. To learn how to fix this see: https://go.microsoft.com/fwlink/p/?linkid=2319303 Spf= Pass , Dkim= Fail , DMARC= Pass [DB1PEPF.eurprd03.prod.outlook.com 2026-11-27T23:10:02.671Z 08DE2D]"
)

// wanted is what the log of one MTA holds, in any order: that of Postfix's processes is theirs.
func wanted() map[string]mtalog.Refusal {
	const envelope = "bounces.example.org"
	return map[string]mtalog.Refusal{
		"gmail-smtp-in.l.google.com":             {Receiver: "Gmail", Envelope: envelope, Code: "5.7.26", Cause: mtalog.Unauthenticated, Permanent: true},
		"hotmail-com.olc.protection.outlook.com": {Receiver: "Microsoft", Envelope: envelope, Author: "example.org", Code: "5.7.515", Cause: mtalog.DKIM, Text: microsoftText, Permanent: true},
		"mta7.am0.yahoodns.net":                  {Receiver: "Yahoo", Envelope: envelope, Code: "5.7.9", Cause: mtalog.Unauthenticated, Text: "Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", Permanent: true},
		"mx00.gmx.net":                           {Receiver: "GMX, web.de and mail.com", Envelope: envelope, Code: "550", Cause: mtalog.SPF, Text: "…@gmx.net>: Reject due to SPF policy. The originating IP of the message is not permitted by the domain owner", Permanent: true},
		"alt1.gmail-smtp-in.l.google.com":        {Receiver: "Gmail", Envelope: envelope, Code: "4.7.30", Cause: mtalog.DKIM, Text: "Your email has been rate limited because DKIM authentication didn't pass for this message. Gmail requires all bulk senders to authenticate with DKIM. To learn more about Gmail's requirements, see ..."},
		"mx01.mail.icloud.com":                   {Receiver: "Apple", Envelope: envelope, Author: "example.org", Code: "5.7.1", Cause: mtalog.DMARC, Text: "Your message was rejected due to example.org DMARC policy.", Permanent: true},
	}
}

func TestRealLogs(t *testing.T) {
	for name, kind := range map[string]mtalog.Kind{"postfix-3.7.log": mtalog.Postfix, "exim-4.96.log": mtalog.Exim, "exim-4.96-all.log": mtalog.Exim} {
		t.Run(name, func(t *testing.T) {
			var messages int
			found := map[string]mtalog.Refusal{}
			ids := map[string]map[string]bool{}
			for _, r := range refusals(t, kind, time.UTC, testdata(t, name)) {
				messages++
				if ids[r.Host] == nil {
					ids[r.Host] = map[string]bool{}
				}
				ids[r.Host][r.Queue] = true
				if r.At.Before(tick(23, 33, 0)) || r.At.After(tick(23, 34, 0)) {
					t.Errorf("%s at %s", r.Host, r.At)
				}
				if r.Host == "gmail-smtp-in.l.google.com" && r.Text != gmailText {
					t.Errorf("text %q", r.Text)
				}
				if r.Host == "gmail-smtp-in.l.google.com" {
					r.Text = ""
				}
				r.At, r.Queue = time.Time{}, ""
				host := r.Host
				r.Host = ""
				found[host] = r
			}
			if diff := cmp.Diff(wanted(), found); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if len(ids["gmail-smtp-in.l.google.com"]) != 2 || messages != 8 { // the second message there has two recipients
				t.Errorf("%d refusals, %d messages at Gmail", messages, len(ids["gmail-smtp-in.l.google.com"]))
			}
		})
	}
}

func TestPostfixLines(t *testing.T) {
	const (
		qmgr     = "Nov 27 10:00:00 mx1 postfix/qmgr[17]: 4T1abc2xyzz1: from=<ann@Example.ORG>, size=274, nrcpt=1 (queue active)\n"
		delivery = ": 4T1abc2xyzz1: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.7.26 SPF and DKIM failed (in reply to end of DATA command))\n"
	)
	want := mtalog.Refusal{At: tick(10, 0, 1), Queue: "4T1abc2xyzz1", Envelope: "example.org", Host: "mx.example.net", Receiver: "example.net", Code: "5.7.26",
		Cause: mtalog.Unauthenticated, Text: "SPF and DKIM failed", Permanent: true}
	unknown := want
	unknown.Envelope = ""
	earlier := want
	earlier.At = tick(9, 0, 1)
	tests := map[string]struct {
		log  string
		want []mtalog.Refusal
	}{
		"as it is":              {qmgr + "Nov 27 10:00:01 mx1 postfix/smtp[18]" + delivery, []mtalog.Refusal{want}},
		"rsyslog":               {strings.Replace(qmgr, "Nov 27 10:00:00", "2026-11-27T11:00:00.000001+01:00", 1) + "2026-11-27T11:00:01+01:00 mx1 postfix/smtp[18]" + delivery, []mtalog.Refusal{want}},
		"a service of its own":  {qmgr + "Nov 27 10:00:01 mx1 postfix/relay/smtp[18]" + delivery, []mtalog.Refusal{want}},
		"LMTP":                  {qmgr + "Nov 27 10:00:01 mx1 postfix/lmtp[18]" + delivery, []mtalog.Refusal{want}},
		"another instance":      {qmgr + "Nov 27 10:00:01 mx1 postfix-out/smtp[18]" + delivery, []mtalog.Refusal{unknown}},
		"its own instance":      {strings.Replace(qmgr, "postfix/", "postfix-out/", 1) + "Nov 27 10:00:01 mx1 postfix-out/smtp[18]" + delivery, []mtalog.Refusal{want}},
		"no sender":             {strings.Replace(qmgr, "ann@Example.ORG", "", 1) + "Nov 27 10:00:01 mx1 postfix/smtp[18]" + delivery, []mtalog.Refusal{unknown}},
		"nothing of the sender": {"Nov 27 10:00:01 mx1 postfix/smtp[18]" + delivery, []mtalog.Refusal{unknown}},
		"delivered":             {qmgr + "Nov 27 10:00:01 mx1 postfix/smtp[18]" + strings.Replace(delivery, "status=bounced", "status=sent", 1), nil},
		"verified only":         {qmgr + "Nov 27 10:00:01 mx1 postfix/smtp[18]" + strings.Replace(delivery, "status=bounced", "status=undeliverable", 1), nil},
		"a local delivery":      {qmgr + "Nov 27 10:00:01 mx1 postfix/local[18]" + delivery, nil},
		"another program":       {qmgr + "Nov 27 10:00:01 mx1 smtp[18]" + delivery, nil},
		"no date":               {qmgr + "Nov 37 10:00:01 mx1 postfix/smtp[18]" + delivery, nil},
		"refused at once": {qmgr + "Nov 27 10:00:01 mx1 postfix/smtp[18]: 4T1abc2xyzz1: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=5.7.26, " +
			"status=bounced (host mx.example.net[192.0.2.1] refused to talk to me: 550 5.7.26 SPF and DKIM failed)\n", []mtalog.Refusal{want}},
		"no connection": {qmgr + "Nov 27 10:00:01 mx1 postfix/smtp[18]: 4T1abc2xyzz1: to=<bob@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to mx.example.net[192.0.2.1]:25: Connection timed out)\n", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := refusals(t, mtalog.Postfix, time.UTC, []byte(tt.log))
			for i := range got {
				got[i].At = got[i].At.UTC()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	t.Run("local time", func(t *testing.T) {
		got := refusals(t, mtalog.Postfix, cet, []byte(qmgr+"Nov 27 10:00:01 mx1 postfix/smtp[18]"+delivery))
		if len(got) != 1 || !got[0].At.Equal(earlier.At) {
			t.Errorf("%+v", got)
		}
	})
}

func TestEximLines(t *testing.T) {
	const (
		arrival = "2026-11-27 10:00:00 1xX5RE-00000004A1a-0w12 <= ann@Example.ORG U=root P=local S=320\n"
		failure = "** bob@example.net R=dnslookup T=remote_smtp H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<bob: x@example.net>: 550 5.7.23 SPF fail\n"
	)
	want := mtalog.Refusal{At: tick(10, 0, 1), Queue: "1xX5RE-00000004A1a-0w12", Envelope: "example.org", Host: "mx.example.net", Receiver: "example.net", Code: "5.7.23", Cause: mtalog.SPF, Text: "SPF fail", Permanent: true}
	unknown := want
	unknown.Envelope = ""
	sender := want
	sender.Envelope = "example.com"
	tests := map[string]struct {
		log  string
		want []mtalog.Refusal
	}{
		"Exim 4.97":         {arrival + "2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{want}},
		"with zone":         {arrival + "2026-11-27 11:00:01.000 +0100 [123] 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{want}},
		"syslog":            {arrival + "Nov 27 10:00:02 mx1 exim[12]: 2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{want}},
		"syslog's own time": {arrival + "2026-11-27T11:00:01+01:00 mx1 exim4[12]: 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{want}},
		"the first piece":   {arrival + "Nov 27 10:00:02 mx1 exim[12]: [1/2] 2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{want}},
		"a piece of many":   {arrival + "Nov 27 10:00:02 mx1 exim[12]: [1\\12] 2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{want}},
		"the second piece":  {arrival + "Nov 27 10:00:02 mx1 exim[12]: [2/2] 2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, nil},
		"no piece":          {arrival + "Nov 27 10:00:02 mx1 exim[12]: [1/x] 2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, nil},
		"another program":   {arrival + "2026-11-27T11:00:01+01:00 mx1 other[12]: 1xX5RE-00000004A1a-0w12 " + failure, nil},
		"no arrival":        {"2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + failure, []mtalog.Refusal{unknown}},
		"sender on it":      {arrival + "2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + strings.Replace(failure, " R=", " F=<x@example.com> R=", 1), []mtalog.Refusal{sender}},
		"no message":        {"2026-11-27 10:00:01 1xX5RE-0004A1a-0w12 " + failure, nil},
		"delivered":         {arrival + "2026-11-27 10:00:01 1xX5RE-00000004A1a-0w12 " + strings.Replace(failure, "**", "=>", 1), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := refusals(t, mtalog.Exim, time.UTC, []byte(tt.log))
			for i := range got {
				got[i].At = got[i].At.UTC()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Replies as receivers document them or are known to send them, and replies that are about something else.
func TestReplies(t *testing.T) {
	tests := []struct {
		host, said string
		cause      mtalog.Cause // "" = not about authentication
		code       string
		author     string
	}{
		{"gmail-smtp-in.l.google.com", "550-5.7.26 Unauthenticated email from example.org is not accepted due to 550-5.7.26 domain's DMARC policy. 550 5.7.26 more", mtalog.DMARC, "5.7.26", "example.org"},
		{"gmail-smtp-in.l.google.com", "421-4.7.26 This mail has been rate limited because it is unauthenticated. 421 4.7.26 more", mtalog.Unauthenticated, "4.7.26", ""},
		{"aspmx.l.google.com", "550-5.7.27 SPF did not pass. 550 5.7.27 more", mtalog.SPF, "5.7.27", ""},
		{"aspmx.l.google.com", "421 4.7.23 The sending IP address does not have a PTR record", mtalog.ReverseDNS, "4.7.23", ""},
		{"aspmx.l.google.com", "550 5.7.29 not sent over a TLS connection", mtalog.TLS, "5.7.29", ""},
		{"aspmx.l.google.com", "550 5.7.30 DKIM did not pass", mtalog.DKIM, "5.7.30", ""},
		{"aspmx.l.google.com", "421 4.7.31 no policy", mtalog.DMARC, "4.7.31", ""},
		{"aspmx.l.google.com", "550 5.7.32 From: is not aligned with the authenticated SPF or DKIM domain", mtalog.Alignment, "5.7.32", ""},
		{"aspmx.l.google.com", "550 5.7.40 The sending domain has no DMARC record", mtalog.DMARC, "5.7.40", ""},
		{"aspmx.l.google.com", "421 4.7.28 unusual rate of unsolicited mail", "", "", ""},
		{"aspmx.l.google.com", "550-5.7.1 This message does not meet IPv6 sending guidelines regarding PTR records and 550 5.7.1 authentication.", mtalog.ReverseDNS, "5.7.1", ""},
		{"aspmx.l.google.com", "550 5.7.1 This message does not have authentication information or fails to pass authentication checks.", mtalog.Unauthenticated, "5.7.1", ""},
		{"x.olc.protection.outlook.com", "550 5.7.509 Access denied, sending domain [Example.org] does not pass DMARC verification and has a DMARC policy of reject.", mtalog.DMARC, "5.7.509", "example.org"},
		{"x.mail.protection.outlook.com", "550 5.7.23 The message was rejected because of Sender Policy Framework violation", mtalog.SPF, "5.7.23", ""},
		{"x.mail.protection.outlook.com", "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your provider since part of their network is on our block list (S3140).", "", "", ""},
		{"x.olc.protection.outlook.com", "550 5.7.515 Access denied Spf= Fail , Dkim= Fail , DMARC= Fail [DB1]", mtalog.Unauthenticated, "5.7.515", ""},
		{"x.j-v1.mx.microsoft", "550 5.7.515 Access denied", mtalog.Unauthenticated, "5.7.515", ""},
		{"mta6.am0.yahoodns.net", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", "", "", ""},
		{"mx.example.net", "535 5.7.9 Application-specific password required", "", "", ""},
		{"mx.example.net", "550 5.7.9 Please log in", "", "", ""},
		{"mx00.mail.com", "554 Transaction failed Reject due to domain's DMARC policy", mtalog.DMARC, "554", ""},
		{"mxs.mail.ru", "550 5.7.1 This message was not accepted due to domain (example.org) owner DMARC policy (RFC 7489)", mtalog.DMARC, "5.7.1", "example.org"},
		{"mx.example.net", "550 5.7.1 rejected by DMARC policy for example.org", mtalog.DMARC, "5.7.1", "example.org"},
		{"mx.example.net", "550 5.7.20 no signature that passes", mtalog.DKIM, "5.7.20", ""},
		{"mx.example.net", "550 5.7.21 none that we take", mtalog.DKIM, "5.7.21", ""},
		{"mx.example.net", "550 5.7.22 none of the author", mtalog.Alignment, "5.7.22", ""},
		{"mx.example.net", "451 4.7.24 error in the record", mtalog.SPF, "4.7.24", ""},
		{"mx.example.net", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", mtalog.ReverseDNS, "4.7.25", ""},
		{"mx.example.net", "550 5.7.27 Sender address has null MX", mtalog.NullMX, "5.7.27", ""},
		{"mx.example.net", "550 5.7.29 seals do not verify", mtalog.ARC, "5.7.29", ""},
		{"mx.example.net", "550 5.7.30 REQUIRETLS support required", mtalog.TLS, "5.7.30", ""},
		{"mx.example.net", "550 5.7.31 odd", "", "", ""},
		{"mx.example.net", "550 SPF check failed", mtalog.SPF, "550", ""},
		{"mx.example.net", "550-SPF check failed 550 end", mtalog.SPF, "550", ""},
		{"mx.example.net", "550 5.1.1 no such user; see http://example.net/spf", "", "", ""},
		{"mx.example.net", "550-no SPF record 550-for you 550 see http://example.net/", mtalog.SPF, "550", ""},
		{"mx.example.net", "554 5.7.1 <bob@example.net>: Relay access denied, SPF", "", "", ""},
		{"mx.example.net", "530 5.7.0 Authentication required", "", "", ""},
		{"mx.example.net", "550 5.7.1 Authentication required", "", "", ""},
		{"mx.example.net", "550 5.7.1 spam", "", "", ""},
		{"mx.example.net", "550 5.7.1 lots of spfoo and dkimmer", "", "", ""},
		{"mx.example.net", "250 2.0.0 SPF passed", "", "", ""},
		{"mx.example.net", "999 SPF", "", "", ""},
		{"mx.example.net", "SPF", "", "", ""},
		{"mx.example.net", "", "", "", ""},
	}
	for _, tt := range tests {
		line := "Nov 27 10:00:01 mx1 postfix/smtp[18]: 9AE729C42D4: to=<bob@example.net>, relay=" + tt.host + "[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=5.0.0, status=bounced (host " + tt.host + "[192.0.2.1] said: " + tt.said + " (in reply to end of DATA command))"
		r, ok := parser(t, mtalog.Postfix, time.UTC).Line([]byte(line), now)
		if ok != (tt.cause != "") || ok && (r.Cause != tt.cause || r.Code != tt.code || r.Author != tt.author) {
			t.Errorf("%s said %q: %v, %q %q %q, want %q %q %q", tt.host, tt.said, ok, r.Cause, r.Code, r.Author, tt.cause, tt.code, tt.author)
		}
	}
}

func TestTextIsShortAndPrintable(t *testing.T) {
	said := "550-5.7.26 SPF\x1b[31m \u202eof <Ann.Private@example.org>\xff\xfe 550-5.7.26 " + strings.Repeat("ü", 500) + " 550 5.7.26 end"
	line := "Nov 27 10:00:01 mx1 postfix/smtp[18]: 9AE729C42D4: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: " + said + " (in reply to end of DATA command))"
	r, ok := parser(t, mtalog.Postfix, time.UTC).Line([]byte(line), now)
	if !ok || !strings.HasPrefix(r.Text, "SPF [31m of …@example.org> üü") || !strings.HasSuffix(r.Text, "ü…") || len(r.Text) > mtalog.MaxText {
		t.Errorf("%v %q", ok, r.Text)
	}
}

func TestYears(t *testing.T) {
	const line = " 10:00:01 mx1 postfix/smtp[18]: 9AE729C42D4: to=<b@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.7.26 no)"
	for _, tt := range []struct {
		day       string
		now, want time.Time
	}{
		{"Dec 31", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 10, 0, 1, 0, time.UTC)},
		{"Jan  1", time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC), time.Date(2027, 1, 1, 10, 0, 1, 0, time.UTC)}, // a clock that is a little behind
		{"Feb 29", time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 2, 29, 10, 0, 1, 0, time.UTC)},
		{"Feb 29", time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}, // no such day near
	} {
		r, ok := parser(t, mtalog.Postfix, time.UTC).Line([]byte(tt.day+line), tt.now)
		if !ok || !r.At.Equal(tt.want) {
			t.Errorf("%s at %s: %v %s", tt.day, tt.now, ok, r.At)
		}
	}
}

func TestKinds(t *testing.T) {
	if _, err := mtalog.NewParser("sendmail", time.UTC); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

// A busy log costs next to nothing where it says nothing of interest.
func TestAllocations(t *testing.T) {
	lines := [][]byte{
		[]byte("Nov 27 23:33:43 mx1 postfix/smtp[17376]: 9AE729C42D4: to=<bob@gmail.com>, relay=gmail-smtp-in.l.google.com[127.0.1.1]:25, delay=1.4, delays=1/0.32/0/0.04, dsn=2.0.0, status=sent (250 2.0.0 OK)"),
		[]byte("Nov 27 23:33:43 mx1 postfix/qmgr[17359]: 9AE729C42D4: from=<ann@bounces.example.org>, size=274, nrcpt=1 (queue active)"),
		[]byte("Nov 27 23:33:43 mx1 postfix/qmgr[17359]: 9AE729C42D4: removed"),
	}
	p := parser(t, mtalog.Postfix, time.UTC)
	if n := testing.AllocsPerRun(100, func() {
		for _, l := range lines {
			p.Line(l, now)
		}
	}); n > 1 { // the time of a line of qmgr
		t.Errorf("%v allocations for three lines", n)
	}
}

func BenchmarkPostfix(b *testing.B) { benchmark(b, mtalog.Postfix, "postfix-3.7.log") }
func BenchmarkExim(b *testing.B)    { benchmark(b, mtalog.Exim, "exim-4.96.log") }

func benchmark(b *testing.B, kind mtalog.Kind, name string) {
	lines := bytes.Split(testdata(b, name), []byte("\n"))
	p := parser(b, kind, time.UTC)
	b.ReportAllocs()
	read := 0
	for b.Loop() {
		for _, l := range lines {
			p.Line(l, now)
		}
		read += len(lines)
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "lines/s")
}

func FuzzLine(f *testing.F) {
	for _, name := range []string{"postfix-3.7.log", "exim-4.96.log", "exim-4.96-all.log"} {
		for l := range bytes.SplitSeq(testdata(f, name), []byte("\n")) {
			f.Add(l)
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, kind := range mtalog.Kinds() {
			p := parser(t, kind, cet)
			first, ok := p.Line(line, now)
			again, okAgain := p.Line(line, now)
			if ok != okAgain || !cmp.Equal(first, again) {
				t.Errorf("%s: not the same twice", kind)
			}
			if !ok {
				continue
			}
			for _, s := range []string{first.Text, first.Code, first.Host, first.Receiver, first.Envelope, first.Author, first.Queue} {
				if len(s) > mtalog.MaxText || strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || r != ' ' && !unicode.IsPrint(r) }) {
					t.Errorf("%s: %q", kind, s)
				}
			}
			if first.Cause == "" || first.Code == "" || first.Queue == "" || first.At.IsZero() {
				t.Errorf("%s: %+v", kind, first)
			}
		}
	})
}
