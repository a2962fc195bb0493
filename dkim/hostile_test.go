package dkim

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// maxWorkingMemory bounds what one hostile message may make us allocate beside its own size: a header block of MaxHeaderBytes
// grown in steps, its fields, a read buffer.
const maxWorkingMemory = 16 << 20

// allocated tells how many octets a function allocates in all, given back or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileMessages: whatever a stranger sends ends in a result word, in bounded memory.
func TestHostileMessages(t *testing.T) {
	key := ed25519Key(t)
	records := fixed{recordOf(t, key)}
	const tags = "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from:subject; bh=; b="
	sign := func(message, edit, with string) string {
		return referenceSign(t, key, message, strings.Replace(tags, edit, with, 1))
	}
	good := sign(reasonMessage, "", "")
	for _, test := range []struct {
		name    string
		message string
		records fixed
		err     error  // of VerifyMessage
		results int    // how many
		want    Reason // of the first
	}{
		{"good", good, records, nil, 1, ""},
		{"a record of 64 kB", good, fixed{records[0] + "; n=" + strings.Repeat("x", 64<<10)}, nil, 1, ReasonKeySyntax},
		{"a thousand records of 64 kB", good, fixed(strings.Split(strings.Repeat(strings.Repeat("x", 64<<10)+"|", 1000), "|")), nil, 1, ReasonKeySyntax},
		{"a record of one tag name of 16 kB", good, fixed{strings.Repeat("x", maxRecordBytes)}, nil, 1, ReasonKeySyntax},
		{"a record of thousands of tags", good, fixed{strings.Repeat("x=;y=;", 2000)}, nil, 1, ReasonKeySyntax},
		{"NULs in the record", good, fixed{"v=DKIM1; \x00k=ed25519; p="}, nil, 1, ReasonKeySyntax},
		{"d= of a top-level domain", sign(reasonMessage, "sign.example", "example"), records, nil, 1, ""},
		{"d= of a single dot", sign(reasonMessage, "sign.example", "."), records, nil, 1, ReasonSignatureSyntax},
		{"10,000 signatures", strings.Repeat("DKIM-Signature: v=1\r\n", 10000) + good, records, ErrHeaderTooLarge, 0, ""},
		{"3,000 signatures on top of a good one", strings.Repeat("DKIM-Signature: v=1\r\n", 3000) + good, records, nil, 3001, ReasonSignatureSyntax},
		{"100,000 fields", strings.Repeat("X: y\r\n", 100000) + good, records, ErrHeaderTooLarge, 0, ""},
		{"lines that are no fields, a megabyte of them", strings.Repeat("xxxxxxx\r\n", 100000) + good, records, nil, 1, ""},
		{"a tag of 900 kB", sign(reasonMessage, "s=s;", "s=s; n="+strings.Repeat("x", 900<<10)+";"), records, nil, 1, ""},
		{"a tag of two megabytes", sign(reasonMessage, "s=s;", "s=s; n="+strings.Repeat("x", 2<<20)+";"), records, ErrHeaderTooLarge, 0, ""},
		{"a selector of 900 kB", sign(reasonMessage, "s=s;", "s="+strings.Repeat("x", 900<<10)+";"), records, nil, 1, ReasonSignatureSyntax},
		{"b= of 900 kB", strings.Replace(good, "; b=", "; b="+strings.Repeat("A", 900<<10), 1), records, nil, 1, ReasonSignatureSyntax},
		{"h= of 900 kB", sign(reasonMessage, "from:", "from"+strings.Repeat(":x", 450<<10)+":"), records, nil, 1, ReasonSignatureSyntax},
		{"300,000 tags", "DKIM-Signature: v=1;" + strings.Repeat(" x=;", 200000) + "\r\n" + reasonMessage, records, nil, 1, ReasonSignatureSyntax},
		{"NULs in the body", sign(strings.Replace(reasonMessage, "Hi", "\x00\x00", 1), "", ""), records, nil, 1, ""},
		{"NULs in a signed field", sign(strings.Replace(reasonMessage, "hello", "\x00he\x00llo", 1), "", ""), records, nil, 1, ""},
		{"NULs in a tag", strings.Replace(good, "s=s", "s=\x00s", 1), records, nil, 1, ReasonSignatureSyntax},
		{"a field name with a NUL", "Fr\x00om: x\r\n" + good, records, nil, 1, ""},
		{"a missing colon", strings.Replace(good, "To: ", "To ", 1), records, nil, 1, ""},
		{"a missing colon in a signed field", strings.Replace(good, "Subject: ", "Subject ", 1), records, nil, 1, ReasonSignatureMismatch},
		{"a missing colon in the first line", "From joe Tue Nov 14 22:13:20 2023\r\n" + good, records, nil, 1, ""},
		{"a header without body", strings.TrimSuffix(sign("From: a@sign.example\r\nSubject: x\r\n\r\n", "", ""), "\r\n"), records, nil, 1, ""},
		{"a header cut within a line", strings.TrimSuffix(sign("From: a@sign.example\r\nSubject: x\r\n\r\n", "", ""), "\r\n\r\n"), records, nil, 1, ""},
		{"only a signature", strings.TrimSuffix(good, reasonMessage), records, nil, 1, ReasonBodyHashMismatch},
		{"nothing", "", records, nil, 0, ""},
		{"a megabyte of NULs", strings.Repeat("\x00", 1<<20), records, nil, 0, ""},
		{"two megabytes of NULs", strings.Repeat("\x00", 2<<20), records, ErrHeaderTooLarge, 0, ""},
		{"a megabyte of CRs", strings.Repeat("\r", 1<<20), records, nil, 0, ""},
		{"a megabyte of LFs", strings.Repeat("\n", 1<<20), records, nil, 0, ""},
		{"a megabyte of folding", good[:len(good)-len(reasonMessage)] + "X:" + strings.Repeat("\r\n ", 300<<10) + "\r\n" + reasonMessage, records, nil, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var results []Result
			var err error
			octets := allocated(func() {
				results, err = VerifyMessage(t.Context(), strings.NewReader(test.message), VerifyOptions{Resolver: test.records})
			})
			if !errors.Is(err, test.err) || len(results) != test.results {
				t.Fatalf("%d results, %v", len(results), err)
			}
			if len(results) > 0 && (results[0].Reason != test.want || results[0].Result != test.want.Result()) {
				t.Errorf("%s %q, %.200v, want %q", results[0].Result, string(results[0].Reason), results[0].Err, string(test.want))
			}
			if len(results) > MaxSignatures && results[MaxSignatures].Reason != ReasonTooManySignatures {
				t.Errorf("signature %d: %v", MaxSignatures, results[MaxSignatures].Err)
			}
			if octets > maxWorkingMemory {
				t.Errorf("%d octets were allocated", octets)
			}
		})
	}
}

// TestHeaderThatNeverEnds: who pushes fields sees that no signature passes, and a Reset forgets them.
func TestHeaderThatNeverEnds(t *testing.T) {
	key := ed25519Key(t)
	v := NewVerifier(VerifyOptions{Resolver: fixed{recordOf(t, key)}})
	good := referenceSign(t, key, reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from:subject; bh=; b=")
	fields, body := referenceSplit(good)
	own := []byte(fields[0])
	octets := allocated(func() {
		for i := range 100000 {
			if err := v.Header(own); err != nil != (i >= MaxHeaderFields || i >= MaxHeaderBytes/len(fields[0])) {
				t.Fatalf("field %d: %v", i, err)
			}
		}
		results := v.Finish(t.Context())
		for i, r := range results {
			want := ReasonHeaderTooLarge
			if i >= MaxSignatures {
				want = ReasonTooManySignatures
			}
			if r.Reason != want || r.Result != Policy {
				t.Fatalf("signature %d: %v", i, r.Err)
			}
		}
	})
	if octets > maxWorkingMemory {
		t.Errorf("%d octets were allocated", octets)
	}
	v.Reset()
	for _, f := range fields {
		if err := v.Header([]byte(f)); err != nil {
			t.Fatal(err)
		}
	}
	v.Body([]byte(body))
	if r := v.Finish(t.Context()); len(r) != 1 || r[0].Result != Pass {
		t.Errorf("after Reset: %+v", r)
	}
}

// asking goes from alias to alias as long as it may.
type asking struct{ asked int }

func (a *asking) LookupTXT(ctx context.Context, name string) ([]string, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
			a.asked++
		}
	}
}

// TestResolversWithoutEnd: verification ends with its context or its own limit, whatever the resolver does.
func TestResolversWithoutEnd(t *testing.T) {
	message := referenceSign(t, ed25519Key(t), reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from:subject; bh=; b=")
	for _, test := range []struct {
		name     string
		resolver Resolver
		cancel   time.Duration // 0 = not
		took     time.Duration
		want     Reason
	}{
		{"never answers", silent{}, 0, LookupTimeout, ReasonDNSTimeout},
		{"never answers, cancelled", silent{}, time.Second, time.Second, ReasonDNSTimeout},
		{"loops", new(asking), 0, LookupTimeout, ReasonDNSTimeout},
		{"loops, cancelled", new(asking), time.Second, time.Second, ReasonDNSError},
		{"alias loop", &answers{errs: map[string]error{"s._domainkey.sign.example": &net.DNSError{Err: "alias loop", IsTemporary: true}}}, 0, 0, ReasonDNSError},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				start := time.Now()
				results, err := VerifyMessage(ctx, strings.NewReader(message), VerifyOptions{Resolver: test.resolver})
				if err != nil || len(results) != 1 || results[0].Reason != test.want || results[0].Result != TempError {
					t.Fatalf("%+v, %v; want %s", results, err, string(test.want))
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

// TestHostileKeys: keys at and beyond the limits, all with signatures that fit them.
func TestHostileKeys(t *testing.T) {
	ed := ed25519Key(t)
	edInfo, err := x509.MarshalPKIXPublicKey(ed.Public())
	if err != nil {
		t.Fatal(err)
	}
	record := func(der []byte) string { return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der) }
	edRecord := func(raw []byte) string {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(raw)
	}
	raw := []byte(ed.Public().(ed25519.PublicKey))
	type keyCase struct {
		name   string
		key    testRSA
		record string
		want   Reason
		bits   int
	}
	var tests []keyCase
	add := func(name string, key testRSA, record string, want Reason, bits int) {
		tests = append(tests, keyCase{name, key, record, want, bits})
	}
	for bits, want := range map[int]Reason{1023: ReasonKeyTooSmall, 1024: "", 4096: "", 4097: ReasonKeyTooLarge} {
		key := makeRSA(t, bits, 65537)
		add(fmt.Sprintf("RSA of %d bits", bits), key, record(key.pkcs1()), want, bits)
	}
	usual, three, large := makeRSA(t, 1024, 65537), makeRSA(t, 1024, 3), makeRSA(t, 1024, 1<<31+11)
	add("PKCS#1", usual, record(usual.pkcs1()), "", 1024)
	add("SubjectPublicKeyInfo", usual, record(usual.spki(t)), "", 1024)
	add("garbage behind PKCS#1", usual, record(append(usual.pkcs1(), 0)), ReasonKeySyntax, 0)
	add("garbage behind SubjectPublicKeyInfo", usual, record(append(usual.spki(t), "garbage"...)), ReasonKeySyntax, 0)
	add("e=3", three, record(three.pkcs1()), "", 1024)
	add("e=1", usual, record(testRSA{n: usual.n, e: 1}.pkcs1()), ReasonKeySyntax, 0)
	add("e=2", usual, record(testRSA{n: usual.n, e: 2}.pkcs1()), ReasonKeySyntax, 0)
	add("e=65536", usual, record(testRSA{n: usual.n, e: 65536}.pkcs1()), ReasonKeySyntax, 0)
	add("e beyond 2^31", large, record(large.pkcs1()), ReasonKeySyntax, 0)
	add("even modulus", usual, record(testRSA{n: usual.even(), e: 65537}.pkcs1()), ReasonKeySyntax, 0)
	add("modulus of 32 kbit", usual, record(testRSA{n: usual.huge(), e: 65537}.pkcs1()), ReasonKeySyntax, 0)
	add("Ed25519 as RSA", usual, record(edInfo), ReasonKeySyntax, 0)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			message := referenceSign(t, test.key, reasonMessage, "v=1; a=rsa-sha256; d=sign.example; s=s; h=from:subject; bh=; b=")
			results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: fixed{test.record}})
			if err != nil || len(results) != 1 || results[0].Reason != test.want || results[0].KeyBits != test.bits {
				t.Errorf("%+v, %v; want %q, %d bits", results, err, string(test.want), test.bits)
			}
		})
	}
	message := referenceSign(t, ed, reasonMessage, "v=1; a=ed25519-sha256; d=sign.example; s=s; h=from:subject; bh=; b=")
	for name, test := range map[string]struct {
		record string
		want   Reason
	}{
		"raw":           {edRecord(raw), ""},
		"wrapped":       {edRecord(edInfo), ReasonKeySyntax}, // RFC 8463 §4.2: the key alone
		"octet string":  {edRecord(append([]byte{0x04, 0x20}, raw...)), ReasonKeySyntax},
		"cut short":     {edRecord(raw[:31]), ReasonKeySyntax},
		"octets behind": {edRecord(append(raw[:32:32], 0)), ReasonKeySyntax},
		"all zero":      {edRecord(make([]byte, 32)), ReasonKeySyntax}, // a point of small order
	} {
		results, err := VerifyMessage(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: fixed{test.record}})
		if err != nil || len(results) != 1 || results[0].Reason != test.want {
			t.Errorf("Ed25519, %s: %+v, %v; want %q", name, results, err, string(test.want))
		}
	}
}
