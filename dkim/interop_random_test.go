package dkim_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// randomMessages is how many random messages each foreign implementation verifies, and as many it signs.
const randomMessages = 1000

// randomKeys are the keys of the random messages by algorithm; RSA of 1024 bits, because dkimpy computes in Python.
var randomKeys = map[string]string{"rsa-sha256": "dkimpy/keys/test.private", "ed25519-sha256": ed25519Path}

// lastLine says how the body of a random message must not end, because a program reads that in its own way.
type lastLine int

const (
	anyEnd      lastLine = iota
	noOpenLine           // Debian's Mail::DKIM does not complete the last line under simple (RFC 6376 §3.4.3)
	noOpenWhite          // Debian's dkimpy keeps white space there under relaxed, before the CRLF that it adds (RFC 6376 §3.4.4)
)

// randomMessage makes a message with one From and without bare CR or LF, which programs repair in different ways.
func randomMessage(r *rand.Rand, last lastLine) string {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	value := func() string {
		var b strings.Builder
		b.WriteString(pick("", " ", "  ", "\t"))
		for range 1 + r.IntN(8) {
			b.WriteString(pick("word", "Word:", "two words", "=", ";", "<a@b.example>", "\"quoted\"", "b=x", "a,b", "x"))
			b.WriteString(pick("", " ", "  ", "\t ", "\r\n ", "\r\n\t", " \r\n  ")) // white space never makes a line of its own
			b.WriteString("y")
		}
		b.WriteString(pick("", " ", " \t"))
		return b.String()
	}
	names := []string{"To", "Cc", "Subject", "Received", "X-Other", "Date", "Message-ID", "Reply-To", "List-Id", "MIME-Version", "SUBJECT", "received"}
	fields := []string{"From:" + value() + "\r\n"}
	for range r.IntN(10) {
		fields = append(fields, names[r.IntN(len(names))]+":"+value()+"\r\n")
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	var body strings.Builder
	for range r.IntN(30) {
		body.WriteString(pick("a", "word", ".", "..", "From ", ">", " ", "  ", "\t", " \t ", "\r\n", "\r\n", "\r\n\r\n", " \r\n", "\t\r\n", "é", "\xff", "=3D", "--\r\n", strings.Repeat("long ", 300)))
	}
	text := body.String()
	open := text != "" && !strings.HasSuffix(text, "\r\n")
	switch {
	case open && last == noOpenLine:
		text += "\r\n"
	case open && last == noOpenWhite && strings.HasSuffix(strings.ReplaceAll(text, "\t", " "), " "):
		text += "end"
	}
	return strings.Join(fields, "") + "\r\n" + text
}

// TestRandomInterop: messages of all shapes, canonicalisations and algorithms go both ways, through one process per program and
// direction. The seed is logged; POSTSEAL_INTEROP_SEED sets it.
func TestRandomInterop(t *testing.T) {
	seed := uint64(1)
	if text := os.Getenv("POSTSEAL_INTEROP_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("POSTSEAL_INTEROP_SEED: %v", err)
		}
	}
	for name, o := range map[string]other{"python3-dkim": dkimpy, "libmail-dkim-perl": mailDKIM} {
		t.Run(name, func(t *testing.T) {
			o.need(t, name)
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, uint64(len(name))))
			ours, theirs := make([]interopJob, 0, randomMessages), make([]interopJob, 0, randomMessages)
			for i := range randomMessages {
				pair, algorithm := interopPairs[i%len(interopPairs)], "rsa-sha256"
				if name == "python3-dkim" && i/len(interopPairs)%2 == 1 {
					algorithm = "ed25519-sha256" // Debian's Mail::DKIM does not know it
				}
				keyFile, err := filepath.Abs(filepath.Join(testdata, "dkim", randomKeys[algorithm]))
				if err != nil {
					t.Fatal(err)
				}
				key := readKey(t, randomKeys[algorithm])
				job := interopJob{Record: recordFor(t, key)[0], name: fmt.Sprintf("message %d of seed %d, %s %s/%s", i, seed, algorithm, pair.header, pair.body)}
				last := anyEnd
				switch {
				case name == "python3-dkim" && pair.body == dkim.Relaxed:
					last = noOpenWhite
				case name == "libmail-dkim-perl" && pair.body == dkim.Simple:
					last = noOpenLine
				}
				job.Message = []byte(signed(t, randomMessage(r, last), dkim.Signing{Domain: "sign.example", Selector: "s", Key: key,
					HeaderCanonicalization: pair.header, BodyCanonicalization: pair.body, Time: time.Unix(1700000000, 0)}))
				ours = append(ours, job)
				job.Message, job.Key, job.Algorithm = []byte(randomMessage(r, last)), keyFile, algorithm
				job.Header, job.Body = pair.header.String(), pair.body.String()
				theirs = append(theirs, job)
			}
			agree := 2 * randomMessages
			for i, answer := range o.run(t, ours) {
				if answer.Result != "pass" {
					agree--
					t.Errorf("ours, %s: %s\n%q", ours[i].name, answer.Result, ours[i].Message)
				}
			}
			for i, answer := range o.run(t, theirs) {
				message := append(answer.Field, theirs[i].Message...)
				results, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(message), dkim.VerifyOptions{Resolver: oneRecord{theirs[i].Record}})
				if err != nil || len(results) != 1 || results[0].Result != dkim.Pass {
					agree--
					t.Errorf("theirs, %s: %+v, %v\n%q", theirs[i].name, results, err, message)
				}
			}
			t.Logf("corpus: %s: %d of %d random messages agree, both ways together", name, agree, 2*randomMessages)
		})
	}
}
