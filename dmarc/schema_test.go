package dmarc

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The part of XML Schema that the schema of RFC 9990 uses.
type (
	xsdSchema struct {
		Types  []xsdComplex `xml:"complexType"`
		Simple []xsdSimple  `xml:"simpleType"`
		Root   xsdElement   `xml:"element"`
	}
	xsdComplex struct {
		Name     string   `xml:"name,attr"`
		All      *xsdBody `xml:"all"`
		Sequence *xsdBody `xml:"sequence"`
	}
	xsdBody struct {
		Elements []xsdElement `xml:"element"`
		Any      *struct{}    `xml:"any"`
	}
	xsdElement struct {
		Name    string      `xml:"name,attr"`
		Type    string      `xml:"type,attr"`
		Min     string      `xml:"minOccurs,attr"`
		Max     string      `xml:"maxOccurs,attr"`
		Complex *xsdComplex `xml:"complexType"`
	}
	xsdSimple struct {
		Name  string `xml:"name,attr"`
		Words []struct {
			Value string `xml:"value,attr"`
		} `xml:"restriction>enumeration"`
	}
	element struct {
		XMLName  xml.Name
		Children []element `xml:",any"`
		Text     string    `xml:",chardata"`
	}
)

// check says how an element breaks the schema.
func (s *xsdSchema) check(e element, declared xsdElement, path string) (problems []string) {
	path += "/" + e.XMLName.Local
	if e.XMLName.Space != Namespace {
		problems = append(problems, path+" has another namespace")
	}
	complexType := declared.Complex
	for i := range s.Types {
		if s.Types[i].Name == declared.Type && declared.Type != "langAttrString" {
			complexType = &s.Types[i]
		}
	}
	if complexType == nil {
		for _, simple := range s.Simple {
			if simple.Name == declared.Type && !slices.ContainsFunc(simple.Words, func(w struct {
				Value string `xml:"value,attr"`
			}) bool {
				return w.Value == e.Text
			}) {
				problems = append(problems, fmt.Sprintf("%s: %q is not in %s", path, e.Text, simple.Name))
			}
		}
		if len(e.Children) > 0 {
			problems = append(problems, path+" has elements")
		}
		return problems
	}
	body := complexType.All
	if body == nil {
		body = complexType.Sequence
	}
	if strings.TrimSpace(e.Text) != "" {
		problems = append(problems, path+" has text")
	}
	var order []int
	for _, child := range e.Children {
		i := slices.IndexFunc(body.Elements, func(d xsdElement) bool { return d.Name == child.XMLName.Local })
		if i < 0 {
			problems = append(problems, path+" may not hold "+child.XMLName.Local)
			continue
		}
		order = append(order, i)
		problems = append(problems, s.check(child, body.Elements[i], path)...)
	}
	if complexType.Sequence != nil && !slices.IsSorted(order) {
		problems = append(problems, path+" has another order")
	}
	for i, d := range body.Elements {
		n := len(slices.DeleteFunc(slices.Clone(order), func(j int) bool { return i != j }))
		if n == 0 && d.Min != "0" || n > 1 && d.Max != "unbounded" {
			problems = append(problems, fmt.Sprintf("%s has %s %d times", path, d.Name, n))
		}
	}
	return problems
}

// The schema of RFC 9990 itself judges what is written.
func TestWriteXMLFollowsTheSchema(t *testing.T) {
	var schema xsdSchema
	readXML(t, "../../shared/testdata/dmarc/ietf-aggregate/dmarc-xml-0.2.xsd", &schema)
	judge := func(data []byte) []string {
		var e element
		if err := xml.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		return schema.check(e, schema.Root, "")
	}
	var out bytes.Buffer
	if err := sample().WriteXML(&out); err != nil {
		t.Fatal(err)
	}
	if problems := judge(out.Bytes()); len(problems) > 0 {
		t.Errorf("%s", strings.Join(problems, "\n"))
	}
	minimal := sample()
	minimal.Contact, minimal.Errors, minimal.Generator, minimal.Policy = "", nil, "", PublishedPolicy{Domain: "example.com", Policy: PolicyNone}
	minimal.Rows = minimal.Rows[1:]
	minimal.Rows[0].Reasons = nil
	out.Reset()
	if err := minimal.WriteXML(&out); err != nil {
		t.Fatal(err)
	}
	if problems := judge(out.Bytes()); len(problems) > 0 {
		t.Errorf("%s", strings.Join(problems, "\n"))
	}
	// The judge can say no.
	for from, to := range map[string]string{
		Namespace: "other", "<p>none</p>": "<p>block</p>", "<count>1</count>": "", "<version>1.0</version>": "<version>1.0</version><extra/>",
		"<auth_results></auth_results>": "<auth_results><spf><domain>a</domain><result>pass</result></spf><dkim><domain>a</domain><selector>b</selector><result>pass</result></dkim></auth_results>",
	} {
		spoilt := bytes.Replace(out.Bytes(), []byte(from), []byte(to), 1)
		if bytes.Equal(spoilt, out.Bytes()) || len(judge(spoilt)) == 0 {
			t.Errorf("%s instead of %s was taken", to, from)
		}
	}
}

func readXML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) && os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") != "1" {
		t.Skipf("%s is missing", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
