package dkim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// The other side of these tests are dkimpy and Mail::DKIM as Debian packages them. Each runs once per test: it reads a list of
// jobs as JSON and answers with a list.

// interopJob asks for a verification (Message is signed) or, with Key, for a signature.
type interopJob struct {
	Message   []byte `json:"message"` // base64 in JSON
	Record    string `json:"record,omitempty"`
	Key       string `json:"key,omitempty"` // file
	Algorithm string `json:"algorithm,omitempty"`
	Header    string `json:"header,omitempty"` // canonicalisations
	Body      string `json:"body,omitempty"`

	name string
}

type interopAnswer struct {
	Result string `json:"result"` // pass or something else
	Field  []byte `json:"field"`  // the signature, with CRLF
}

const dkimpyProgram = `
import base64, json, sys
import dkim
def run(job):
    message = base64.b64decode(job["message"])
    if "key" in job:
        key = open(job["key"], "rb").read().strip()
        field = dkim.sign(message, b"s", b"sign.example", key, canonicalize=(job["header"].encode(), job["body"].encode()),
                          signature_algorithm=job["algorithm"].encode())
        return {"result": "pass", "field": base64.b64encode(field).decode()}
    try:
        ok = dkim.DKIM(message, minkey=1024).verify(0, dnsfunc=lambda name, timeout=5: job["record"].encode())
        return {"result": "pass" if ok else "fail"}
    except dkim.DKIMException as e:
        return {"result": str(e)}
print(json.dumps([run(job) for job in json.load(sys.stdin)]))
`

const mailDKIMProgram = `
use strict; use warnings;
use JSON::PP; use MIME::Base64; use Net::DNS; use Mail::DKIM::Verifier; use Mail::DKIM::Signer; use Mail::DKIM::PrivateKey;
my $record;
{ no warnings 'redefine';
  *Mail::DKIM::DNS::query = sub { Net::DNS::RR->new(owner => $_[0], type => 'TXT', txtdata => [unpack('(a255)*', $record)]) }; }
my @answers;
my $jobs = decode_json(do { local $/; <STDIN> });
for my $job (@$jobs) {
  my $message = decode_base64($job->{message});
  if ($job->{key}) {
    my $signer = Mail::DKIM::Signer->new(Algorithm => $job->{algorithm}, Method => "$job->{header}/$job->{body}",
      Domain => 'sign.example', Selector => 's', Key => Mail::DKIM::PrivateKey->load(File => $job->{key}));
    $signer->PRINT($message); $signer->CLOSE;
    my $field = $signer->signature->as_string; $field =~ s/\r?\n/\r\n/g;
    push @answers, { result => 'pass', field => encode_base64("$field\r\n", '') };
    next;
  }
  $record = $job->{record};
  my $verifier = Mail::DKIM::Verifier->new;
  $verifier->PRINT($message); $verifier->CLOSE;
  push @answers, { result => $verifier->result eq 'pass' ? 'pass' : $verifier->result_detail };
}
print encode_json(\@answers);
`

// other is a foreign implementation.
type other struct {
	command []string // runs a program text that follows
	probe   string   // a program text that fails where the package is missing
	program string
}

var (
	dkimpy   = other{[]string{"/usr/bin/python3", "-c"}, "import dkim, nacl.signing", dkimpyProgram}
	mailDKIM = other{[]string{"perl", "-e"}, "use Mail::DKIM::Signer; use Net::DNS; use JSON::PP;", mailDKIMProgram}
)

// need skips the test where the foreign package is missing, and fails it where POSTSEAL_REQUIRE_INTEGRATION says that it must
// be there.
func (o other) need(t *testing.T, pkg string) {
	t.Helper()
	if out, err := o.exec(t, o.probe, nil); err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("Debian's %s is required: %v\n%s", pkg, err, out)
		}
		t.Skipf("Debian's %s is not installed", pkg)
	}
}

func (o other) exec(t *testing.T, program string, stdin []byte) ([]byte, error) {
	cmd := exec.CommandContext(t.Context(), o.command[0], append(o.command[1:len(o.command):len(o.command)], program)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return stderr.Bytes(), err
	}
	return out, nil
}

func (o other) run(t *testing.T, jobs []interopJob) []interopAnswer {
	t.Helper()
	in, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.exec(t, o.program, in)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var answers []interopAnswer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(jobs) {
		t.Fatalf("%d answers for %d jobs: %v\n%s", len(answers), len(jobs), err, out)
	}
	return answers
}

const interopHeader = "Received: from a.example\r\n\tby b.example; Tue, 14 Nov 2023 22:13:20 +0000\r\n" +
	"From: \"Ann Example\" <ann@sign.example>\r\nTo: bob@receive.example,\r\n\tCarl <carl@receive.example>\r\n" +
	"Subject:  Quarterly   report\r\n  with a folded \t subject \r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n" +
	"Message-ID: <1@sign.example>\r\nX-Empty:\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"

var interopBodies = map[string]string{
	"plain":          "Hello.\r\n\r\nGood bye.\r\n",
	"empty":          "",
	"only-crlf":      "\r\n\r\n\r\n",
	"spaces":         " Hello \t there  \r\n\t\r\n  \r\nGood\tbye. \r\n \r\n\r\n",
	"blank-end":      "Hello.\r\n\r\n\r\n\r\n",
	"blank-start":    "\r\n\r\nHello.\r\n",
	"no-final-crlf":  "Hello.\r\nGood bye.",
	"long-line":      strings.Repeat("long ", 2000) + "\r\n",
	"eight-bit":      "Gr\xfc\xdfe \xe2\x82\xac\r\n",
	"large":          strings.Repeat("A line of a large body,  with two spaces \r\n", 2000),
	"dots":           ".\r\n..\r\n.x\r\n",
	"space-and-line": " \r\n",
}

// interopMessages is how many messages go each way.
var interopMessages = map[string]int{"python3-dkim": 96, "libmail-dkim-perl": 46}

var interopPairs = []struct{ header, body dkim.Canonicalization }{
	{dkim.Relaxed, dkim.Relaxed}, {dkim.Relaxed, dkim.Simple}, {dkim.Simple, dkim.Relaxed}, {dkim.Simple, dkim.Simple},
}

// TestOthersVerifyOurs: what this package signs, dkimpy and Mail::DKIM accept.
func TestOthersVerifyOurs(t *testing.T) {
	for name, o := range map[string]other{"python3-dkim": dkimpy, "libmail-dkim-perl": mailDKIM} {
		t.Run(name, func(t *testing.T) {
			o.need(t, name)
			var jobs []interopJob
			for algorithm, path := range map[string]string{"rsa": rsa2048Path, "ed25519": ed25519Path} {
				if algorithm == "ed25519" && name != "python3-dkim" {
					continue // Debian's Mail::DKIM does not know it
				}
				key := readKey(t, path)
				for bodyName, body := range interopBodies {
					for _, pair := range interopPairs {
						if name != "python3-dkim" && bodyName == "no-final-crlf" && pair.body == dkim.Simple {
							continue // it does not complete the last line under simple (RFC 6376 §3.4.3)
						}
						message := interopHeader + "\r\n" + body
						s := dkim.Signing{Domain: "sign.example", Selector: "s", Key: key, HeaderCanonicalization: pair.header,
							BodyCanonicalization: pair.body, Time: time.Unix(1700000000, 0), Expire: 1000 * 24 * time.Hour * 30, Identity: "ann@sign.example"}
						jobs = append(jobs, interopJob{
							Message: []byte(signed(t, message, s)), Record: recordFor(t, key)[0],
							name: fmt.Sprintf("%s %s/%s %s", algorithm, pair.header, pair.body, bodyName),
						})
					}
				}
			}
			// One that must not pass shows that the other side looks at all.
			bad := interopJob{Message: bytes.Replace(jobs[0].Message, []byte("Quarterly"), []byte("Yearly"), 1), Record: jobs[0].Record}
			answers := o.run(t, append(jobs, bad))
			for i, job := range jobs {
				if answers[i].Result != "pass" {
					t.Errorf("%s: %s", job.name, answers[i].Result)
				}
			}
			if answers[len(jobs)].Result == "pass" {
				t.Error("a changed subject passes")
			}
			if want := interopMessages[name]; len(jobs) != want {
				t.Errorf("%d messages, want %d", len(jobs), want)
			}
		})
	}
}

// TestOursVerifiesOthers: what dkimpy and Mail::DKIM sign, this package accepts.
func TestOursVerifiesOthers(t *testing.T) {
	for name, o := range map[string]other{"python3-dkim": dkimpy, "libmail-dkim-perl": mailDKIM} {
		t.Run(name, func(t *testing.T) {
			o.need(t, name)
			var jobs []interopJob
			for algorithm, path := range map[string]string{"rsa-sha256": rsa2048Path, "ed25519-sha256": ed25519Path} {
				if algorithm == "ed25519-sha256" && name != "python3-dkim" {
					continue
				}
				for bodyName, body := range interopBodies {
					for _, pair := range interopPairs {
						if name != "python3-dkim" && bodyName == "no-final-crlf" && pair.body == dkim.Simple {
							continue
						}
						keyFile, err := filepath.Abs(filepath.Join(testdata, "dkim", path))
						if err != nil {
							t.Fatal(err)
						}
						jobs = append(jobs, interopJob{
							Message: []byte(interopHeader + "\r\n" + body), Record: recordFor(t, readKey(t, path))[0], Key: keyFile,
							Algorithm: algorithm, Header: pair.header.String(), Body: pair.body.String(),
							name: fmt.Sprintf("%s %s/%s %s", algorithm, pair.header, pair.body, bodyName),
						})
					}
				}
			}
			for i, answer := range o.run(t, jobs) {
				job := jobs[i]
				message := append(answer.Field, job.Message...)
				results, err := dkim.VerifyMessage(t.Context(), bytes.NewReader(message), dkim.VerifyOptions{Resolver: oneRecord{job.Record}})
				if err != nil || len(results) != 1 || results[0].Result != dkim.Pass {
					t.Errorf("%s: %+v, %v\n%s", job.name, results, err, answer.Field)
				}
			}
			if want := interopMessages[name]; len(jobs) != want {
				t.Errorf("%d messages, want %d", len(jobs), want)
			}
		})
	}
}
