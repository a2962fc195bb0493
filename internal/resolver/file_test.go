package resolver_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

const records = `{
	"a.example.com": ["one", "two"],
	"B.Example.com.": {"cname": "a.example.com."},
	"c.example.com": {"cname": "gone.example.com"},
	"loop.example.com": {"cname": "loop2.example.com"},
	"loop2.example.com": {"cname": "loop.example.com"},
	"empty.example.com": [],
	"blank.example.com": [""],
	"nx.example.com": {"error": "nxdomain"},
	"fail.example.com": {"error": "servfail"},
	"slow.example.com": {"error": "timeout"},
	"xn--bcher-kva.example": ["idn"],
	"odd.example(.com": ["odd"]
}`

func TestFile(t *testing.T) {
	f, err := resolver.NewFile(strings.NewReader(records))
	if err != nil {
		t.Fatal(err)
	}
	checkLookups(t, f.LookupTXT, []lookupCase{
		{name: "A.example.com.", txt: []string{"one", "two"}},
		{name: "b.example.com", txt: []string{"one", "two"}},
		{name: "blank.example.com", txt: []string{""}},
		{name: "bücher.example", txt: []string{"idn"}},
		{name: "odd.example(.com", txt: []string{"odd"}},
		{name: "c.example.com", notFound: true},
		{name: "empty.example.com", notFound: true},
		{name: "nx.example.com", notFound: true},
		{name: "missing.example.com", notFound: true},
		{name: "fail.example.com", temporary: true},
		{name: "slow.example.com", temporary: true, timeout: true},
		{name: "loop.example.com"},
	})
	if a := f.Answer("b.example.com", "CNAME"); a.Status != resolver.StatusOK || a.Own != "a.example.com" {
		t.Errorf("CNAME: %+v", a)
	}
	if a := f.Answer("a.example.com", "MX"); a.Status != resolver.StatusNoData {
		t.Errorf("MX: %+v", a)
	}
}

func TestFileRefusesWhatItCannotRead(t *testing.T) {
	for _, bad := range []string{
		``, `[]`, `{"a": "text"}`, `{"a": [1]}`, `{"a": {"error": "maybe"}}`, `{"a": {"cname": "b", "error": "timeout"}}`,
		`{"a": {}}`, `{"a": null}`, `{"a": {"txt": "b"}}`, `{"a": ["x"], "A.": ["y"]}`, `{"a": ["x"]} trailing`,
	} {
		if _, err := resolver.NewFile(strings.NewReader(bad)); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// The files of the other projects' cases are the format's definition.
func TestFileReadsTheTestData(t *testing.T) {
	files, err := filepath.Glob("../../../shared/testdata/dkim/*/dns.json")
	need(t, err == nil && len(files) > 0, "the test data beside the checkout")
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := resolver.NewFile(strings.NewReader(string(b)))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var raw map[string]any
		if err := json.Unmarshal(b, &raw); err != nil {
			t.Fatal(err)
		}
		for name, value := range raw {
			list, ok := value.([]any)
			if !ok {
				continue
			}
			var want []string
			for _, v := range list {
				want = append(want, v.(string))
			}
			slices.Sort(want)
			if got, err := f.LookupTXT(t.Context(), name); !slices.Equal(got, want) {
				t.Errorf("%s: %s: %q, %v", path, name, got, err)
			}
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(records))
	f.Add([]byte(`{"a":{"cname":"a"}}`))
	files, _ := filepath.Glob("../../../shared/testdata/dkim/*/dns.json")
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := resolver.NewFile(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		var raw map[string]json.RawMessage
		if json.Unmarshal(b, &raw) != nil {
			t.Fatal("accepted what is no JSON object")
		}
		for name := range raw {
			a := file.Answer(name, "TXT")
			if (a.Status == resolver.StatusOK) != (len(a.TXT) > 0) {
				t.Errorf("%q: %+v", name, a)
			}
		}
	})
}
