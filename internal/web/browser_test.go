package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

// browserWithin is how long the browser may take for everything; it is a bound for what hangs, and measures nothing.
const browserWithin = 2 * time.Minute

// A real browser logs in, uploads a file and sees the summary: its policy for cookies, forms and content lets our pages work, and they fit a telephone.
// POSTSEAL_SCREENSHOTS=DIR keeps pictures of the pages.
func TestInABrowser(t *testing.T) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("chromium is missing and POSTSEAL_REQUIRE_INTEGRATION=1")
		}
		t.Skip("chromium is not installed")
	}
	b := newBench(t)
	token := b.token(t, "ann", access.Operator)
	path := filepath.Join(t.TempDir(), "one.example!example.org.xml")
	must(t, os.WriteFile(path, aggregate("example.org", "one.example", "1", 40), 0o600))

	limited, stop := context.WithTimeout(t.Context(), browserWithin)
	defer stop()
	key := sha256.Sum256(b.server.Certificate().RawSubjectPublicKeyInfo)
	allocator, free := chromedp.NewExecAllocator(limited, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])))...)
	defer free()
	ctx, end := chromedp.NewContext(allocator)
	defer end()
	var mu sync.Mutex
	var complaints []string // of the browser: what the Content-Security-Policy refused, what is missing, what failed
	must(t, chromedp.Listen(ctx, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *cdplog.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text+" "+e.Entry.URL)
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		}
	}))
	check := func(err error) {
		t.Helper()
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			t.Fatalf("%v; the browser says: %s", err, strings.Join(complaints, "; "))
		}
	}
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		check(chromedp.Do(ctx, steps...))
	}
	text := func(a chromedp.Action[string]) string {
		t.Helper()
		found, err := chromedp.Run(ctx, a)
		check(err)
		return found
	}
	const (
		tokenField, button, messages = chromedp.CSS("#token"), chromedp.CSS("button.main"), chromedp.CSS("#messages")
		files, toDomain              = chromedp.CSS("#files"), chromedp.CSS(`td a[href="/console/domains/example.org"]`)
	)
	look := func(name string) {
		t.Helper()
		for _, width := range []int64{1280, 390} {
			do(chromedp.EmulateViewport(width, 900))
			wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
			check(err)
			if wide > width {
				t.Errorf("%s is %d pixels wide where %d fit", name, wide, width)
			}
			if dir := os.Getenv("POSTSEAL_SCREENSHOTS"); dir != "" {
				picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				check(err)
				must(t, os.WriteFile(filepath.Join(dir, name+map[bool]string{true: "-narrow", false: ""}[width < 600]+".png"), picture, 0o600))
			}
		}
	}

	do(chromedp.Navigate(b.server.URL+"/console/domains/example.org"), chromedp.WaitVisible(tokenField))
	look("login")
	do(chromedp.SendKeys(tokenField, token), chromedp.Click(button), chromedp.WaitVisible(messages))
	if at, n := text(chromedp.Location()), text(chromedp.Text(messages)); at != b.server.URL+"/console/domains/example.org" || n != "0" {
		t.Errorf("after logging in it is at %s with %q messages", at, n)
	}
	do(chromedp.Click(chromedp.CSS(`nav a[href="/console/upload"]`)), chromedp.WaitVisible(files))
	look("upload")
	do(chromedp.SetUploadFiles(files, []string{path}), chromedp.Click(button), chromedp.WaitVisible(toDomain))
	look("uploaded")
	do(chromedp.Click(toDomain), chromedp.WaitVisible(messages))
	if n := text(chromedp.Text(messages)); n != "41" {
		t.Errorf("the summary has %q messages, want 41", n)
	}
	look("summary")
	do(chromedp.Click(chromedp.CSS(`.choice a[href^="/console/domains/example.org/sources"]`)), chromedp.WaitVisible(chromedp.CSS("td.good")))
	look("sources")
	do(chromedp.Click(chromedp.CSS("header .name")), chromedp.WaitVisible(chromedp.CSS("td .state")))
	look("overview")
	do(chromedp.Click(chromedp.CSS("td.t a")), chromedp.WaitVisible(chromedp.CSS("dl")))
	look("report")
	b.reports.witness = postmaster.Witness{On: true, Asked: []postmaster.Asked{{At: b.now, Problem: "Google refuses the key", Hint: "make another one in the project"}, {Domain: "example.org", At: b.now}},
		Days:          []postmaster.Beside{{Day: postmaster.Day{Domain: "example.org", Date: b.now, Spam: new(0.0035), DKIM: new(0.5)}, Reported: postmaster.Reported{Messages: 41, DKIMTried: 41, DKIMPassed: 40, Aligned: 40}}},
		Disagreements: []postmaster.Disagreement{{Date: b.now, Message: "Google's tools say one thing of DKIM and its reports another"}}}
	for name, octets := range map[string][]byte{"a.xml": fails("google.com", "7", 90_000), "failure.eml": []byte(failureMail), "tls.json": []byte(tlsReport), "broken.xml": []byte("<feedback>")} {
		_, err := b.reports.Take(t.Context(), report.Arrival{Way: report.ByHand, Place: "ann", Name: name, Octets: octets, At: time.Now(), Trust: report.Given})
		must(t, err)
	}
	do(chromedp.Navigate(b.server.URL+"/console/domains/example.org"), chromedp.WaitVisible(chromedp.CSS(".box.warning")))
	look("judged")
	do(chromedp.Click(chromedp.CSS("header .name")), chromedp.WaitVisible(chromedp.CSS("td .state")))
	look("received")
	for _, kind := range []report.Type{report.Failure, report.TLS} {
		listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Type: kind, Limit: 1})
		must(t, err)
		do(chromedp.Navigate(b.server.URL+"/console/reports/"+listed[0].ID), chromedp.WaitVisible(chromedp.CSS("dl")))
		look(string(kind))
	}
	do(chromedp.Navigate(b.server.URL+"/console/reports/nothing"), chromedp.WaitVisible(chromedp.CSS(".box.error")))
	look("error")
	mu.Lock()
	complaints = slices.DeleteFunc(complaints, func(s string) bool { return strings.HasSuffix(s, "/console/reports/nothing") }) // it was meant to fail
	mu.Unlock()
	if cookies := text(chromedp.Evaluate[string](`document.cookie`)); cookies != "" {
		t.Errorf("scripts can read %q", cookies)
	}
	do(chromedp.Click(chromedp.CSS("form.out button")), chromedp.WaitVisible(tokenField))
	mu.Lock()
	defer mu.Unlock()
	if len(complaints) > 0 {
		t.Errorf("the browser says: %s", strings.Join(complaints, "; "))
	}
}
