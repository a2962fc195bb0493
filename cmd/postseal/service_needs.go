package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/services"
)

// serviceNeeds is what a service needs beside its keys.
type serviceNeeds struct {
	SPF        []spfNeed       `json:"spf"`
	ReturnPath string          `json:"return_path,omitempty"` // services.ReturnPath
	Evidence   string          `json:"return_path_evidence,omitempty"`
	Records    []services.Also `json:"records,omitempty"`
	Note       string          `json:"note,omitempty"`
}

// spfNeed is a host that SPF records include for the service.
type spfNeed struct {
	Include  string `json:"include"`
	Evidence string `json:"evidence"`
	Included *bool  `json:"included,omitempty"` // what the domain's SPF record says today; absent when nobody was asked
}

// needsOf collects what a service of the catalogue needs.
func needsOf(c *services.Catalogue, s services.Service) serviceNeeds {
	n := serviceNeeds{SPF: []spfNeed{}}
	if s.ID == "" {
		return n
	}
	n.ReturnPath, n.Evidence, n.Records, n.Note = string(s.ReturnPath), string(s.EvidenceOf("return_path")), c.Needs(s), s.Note
	for _, host := range s.SPF {
		n.SPF = append(n.SPF, spfNeed{Include: host, Evidence: string(s.EvidenceOf("spf"))})
	}
	return n
}

// returnPathText says what a return path takes.
func returnPathText(r string) string {
	switch services.ReturnPath(r) {
	case services.ReturnPathOwn:
		return "the service uses your domain as envelope sender, so SPF aligns by itself"
	case services.ReturnPathIncluded:
		return "comes with the service's other records"
	case services.ReturnPathNeeded:
		return "SPF aligns only with a bounce domain of your own, which is set up at the service"
	case services.ReturnPathOptional:
		return "a bounce domain of your own can be set up at the service; then SPF aligns too"
	case services.ReturnPathNotPossible:
		return "not possible: DMARC rests on DKIM alone"
	}
	return ""
}

func (n serviceNeeds) show(out io.Writer) {
	if text := returnPathText(n.ReturnPath); text != "" {
		fmt.Fprintf(out, "\nReturn path: %s%s\n", text, byMemory(n.Evidence))
	}
	for _, s := range n.SPF {
		text := "its SPF include is " + strings.NewReplacer("**", "…", "*", "…").Replace(s.Include)
		switch {
		case s.Included == nil:
		case *s.Included:
			text += ", which the domain's record has"
		default:
			text += ", which the domain's record does not have"
		}
		fmt.Fprintf(out, "SPF: %s%s\n", clean(text), byMemory(s.Evidence))
	}
	if len(n.Records) > 0 {
		fmt.Fprintln(out, "The service wants these records too; Postseal does not publish them:")
	}
	for _, r := range n.Records {
		value := r.Value
		if value == "" {
			value = "(its console shows it)"
		}
		optional := ""
		if r.Optional {
			optional = ", optional"
		}
		fmt.Fprintf(out, "  %s  %s  %s  (%s%s)%s\n", clean(r.Name), dash(r.Type), clean(value), r.For, optional, byMemory(string(r.Evidence)))
	}
	if n.Note != "" {
		fmt.Fprintf(out, "Note: %s\n", clean(n.Note))
	}
}

// byMemory marks what is expected only.
func byMemory(evidence string) string {
	if evidence == string(services.Memory) {
		return " (expected, from memory)"
	}
	return ""
}

// fleetLines writes an entry under signers of fleet.yaml.
func fleetLines(service, stream string, custom bool, records []services.SetupRecord) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "        "+format+"\n", args...) }
	fmt.Fprintf(&b, "      - service: %s\n", service)
	if custom {
		line("custom: true")
	}
	if stream != "" {
		line("stream: %s", stream)
	}
	if len(records) == 1 && records[0].Type == "TXT" {
		line("selector: %s", yamlText(records[0].Selector))
		line("txt: %s", yamlText(records[0].Value))
		return b.String()
	}
	if len(records) > 0 {
		line("%s:", strings.ToLower(records[0].Type))
	}
	for _, r := range records {
		line("  %s: %s", yamlText(r.Selector), yamlText(r.Value))
	}
	return b.String()
}

// yamlText quotes a text where YAML would read something else in it: numbers, words for yes and no, and every sign that means something.
func yamlText(text string) string {
	plain := text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" && text[0] >= 'a' && text[0] <= 'z'
	switch text {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		plain = false
	}
	if plain {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
