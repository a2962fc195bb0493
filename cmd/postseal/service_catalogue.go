package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/services"
)

// catalogued is a service in the JSON document of service catalogue.
type catalogued struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Category string `json:"category"`
	Signs    string `json:"signs"`
	Rotation string `json:"rotation"`
	Evidence string `json:"evidence"`
	// With --details.
	Details *serviceDetails `json:"details,omitempty"`
}

// serviceDetails is everything that the catalogue knows of one service, with the mark of each fact.
type serviceDetails struct {
	Aliases   []string          `json:"aliases,omitempty"`
	Variants  []string          `json:"variants,omitempty"` // other ways of setting it up, by id
	Carrier   string            `json:"carrier,omitempty"`
	Selectors []selectorDetails `json:"selectors"`
	Hint      string            `json:"selector_hint,omitempty"`
	Count     int               `json:"count,omitempty"`
	Bits      []int             `json:"bits,omitempty"`
	Shared    bool              `json:"shared,omitempty"`
	Idle      bool              `json:"idle_revoked,omitempty"`
	MinDays   int               `json:"min_days,omitempty"`
	OwnKey    bool              `json:"own_key,omitempty"`
	API       bool              `json:"api,omitempty"`
	Asks      []services.Input  `json:"asks"`
	Where     string            `json:"where"`
	Docs      string            `json:"docs,omitempty"`
	Needs     serviceNeeds      `json:"needs"`
	Evidence  map[string]string `json:"evidence"` // by field
}

// selectorDetails says where selectors point to.
type selectorDetails struct {
	Selectors []services.Pattern `json:"selectors"`
	Targets   []services.Pattern `json:"targets,omitempty"`
	Forms     []string           `json:"forms,omitempty"`
	Legacy    bool               `json:"legacy,omitempty"`
	Optional  bool               `json:"optional,omitempty"`
}

func newCatalogue() *cobra.Command {
	var asJSON, details bool
	cmd := &cobra.Command{
		Use:   "catalogue [WORD]",
		Short: "List the services that fleet.yaml can name; needs no server",
		Long: `List the services that fleet.yaml and service add can name. With --details everything that is known of those that match is printed: which
selectors point where, what service add asks for and where in the service's console it is, SPF, return path and further records, each with
where the catalogue has it from: confirmed (published material) or memory (expected, to be checked against the service's own page).`,
		Example: `  postseal service catalogue mail
  postseal service catalogue microsoft-365 --details`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			catalogue, err := services.Load()
			if err != nil {
				return err
			}
			all := catalogue.All()
			word := strings.ToLower(strings.Join(args, ""))
			if s, exact := catalogue.Lookup(word); exact && details {
				all, word = []services.Service{s}, ""
			}
			found := []catalogued{}
			t := table{head: []string{"ID", "SERVICE", "KIND", "SIGNS WITH", "KEY CHANGED BY", "KNOWN FROM"}}
			for _, s := range all {
				if !strings.Contains(strings.ToLower(s.ID+" "+s.Title+" "+string(s.Category)+" "+strings.Join(s.Aliases, " ")), word) {
					continue
				}
				one := catalogued{s.ID, s.Title, string(s.Category), string(s.Signs), string(s.Rotation), string(s.Evidence), nil}
				if details {
					one.Details = detailsOf(catalogue, s)
				}
				found = append(found, one)
				t.add(calm, s.ID, s.Title, string(s.Category), string(s.Signs), string(s.Rotation), string(s.Evidence))
			}
			switch {
			case asJSON:
				return (&remote{}).json(cmd.OutOrStdout(), map[string]any{"services": found})
			case details && len(found) > 0:
				for i, x := range found {
					if i > 0 {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					x.show(cmd.OutOrStdout())
				}
				return nil
			}
			return t.print(cmd.OutOrStdout(), "No service of the catalogue matches. fleet.yaml takes any name with custom: true.")
		},
	}
	cmd.Flags().BoolVar(&details, "details", false, "print everything that is known of those that match")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// evidenceFields are the facts that have a mark of their own.
func evidenceFields() []string {
	return []string{"selectors", "records", "count", "bits", "shared", "rotation", "idle", "min_days", "own_key", "spf", "return_path", "also", "api", "docs", "tokens", "mx", "console", "inputs"}
}

func detailsOf(c *services.Catalogue, s services.Service) *serviceDetails {
	d := &serviceDetails{Aliases: s.Aliases, Carrier: s.Carrier, Selectors: []selectorDetails{}, Hint: s.SelectorHint, Count: s.Count, Bits: s.Bits, Shared: s.Shared, Idle: s.IdleRevoked,
		MinDays: s.MinDays, OwnKey: s.OwnKey, API: s.API, Asks: append([]services.Input{}, s.Ask(services.Answers{})...), Where: s.Where(), Docs: s.Docs, Needs: needsOf(c, s), Evidence: map[string]string{}}
	for _, v := range c.Variants(s) {
		d.Variants = append(d.Variants, v.ID)
	}
	for _, r := range s.Records {
		d.Selectors = append(d.Selectors, selectorDetails{r.Selectors, r.Targets, r.Forms, r.Legacy, r.Optional})
	}
	has := map[string]bool{"count": s.Count > 0, "bits": len(s.Bits) > 0, "shared": s.Shared, "idle": s.IdleRevoked, "min_days": s.MinDays > 0, "own_key": s.OwnKey, "spf": len(s.SPF) > 0,
		"also": len(d.Needs.Records) > 0, "api": s.API, "docs": s.Docs != "", "tokens": len(s.Tokens) > 0, "mx": len(s.MX) > 0, "console": s.Console != "", "inputs": len(s.Inputs) > 0,
		"selectors": true, "records": true, "rotation": s.Rotation != services.RotationUnknown, "return_path": s.ReturnPath != services.ReturnPathUnknown}
	for _, f := range evidenceFields() {
		if has[f] {
			d.Evidence[f] = string(s.EvidenceOf(f))
		}
	}
	return d
}

func (x catalogued) show(out io.Writer) {
	d := x.Details
	mark := func(field, text string) string {
		if text == "" {
			return ""
		}
		return text + byMemory(d.Evidence[field])
	}
	yes := func(field string, on bool, text string) string {
		if !on {
			return ""
		}
		return mark(field, text)
	}
	var bits []string
	for _, b := range d.Bits {
		bits = append(bits, fmt.Sprint(b))
	}
	count, pause := "", ""
	if d.Count > 0 {
		count = fmt.Sprint(d.Count)
	}
	if d.MinDays > 0 {
		pause = fmt.Sprintf("%d days at least between two", d.MinDays)
	}
	facts(out, "service", x.ID, "name", x.Title, "aliases", strings.Join(d.Aliases, ", "), "kind", x.Category, "other ways", strings.Join(d.Variants, ", "), "carried by", d.Carrier,
		"signs with", mark("records", x.Signs), "records", mark("count", count), "bits", mark("bits", strings.Join(bits, ", ")), "key changed by", mark("rotation", x.Rotation),
		"changes", mark("min_days", pause), "one key for all", yes("shared", d.Shared, "yes"), "idle selectors", yes("idle", d.Idle, "answer an empty p="), "takes our key", yes("own_key", d.OwnKey, "yes"),
		"API", yes("api", d.API, "yes"), "console", mark("console", d.Where), "page", mark("docs", d.Docs), "selectors", mark("selectors", d.Hint))
	for _, r := range d.Selectors {
		var notes []string
		if r.Legacy {
			notes = append(notes, "old set-ups")
		}
		if r.Optional {
			notes = append(notes, "not every account")
		}
		for _, s := range r.Selectors {
			line := "  " + string(s)
			for i, target := range r.Targets {
				form := ""
				if i < len(r.Forms) {
					form = " (" + r.Forms[i] + ")"
				}
				sep := " → "
				if i > 0 {
					sep = " or "
				}
				line += sep + strings.ReplaceAll(string(target), "{selector}", string(s)) + form
			}
			if len(notes) > 0 {
				line += "  [" + strings.Join(notes, ", ") + "]"
			}
			fmt.Fprintln(out, clean(line))
		}
	}
	for _, in := range d.Asks {
		line := "asks for " + in.Question
		if len(in.Pattern) > 0 && !slices.Contains(in.Pattern, in.Question) {
			line += "; usually " + strings.Join(in.Pattern, " or ")
		}
		if in.Example != "" {
			line += "; for example " + in.Example
		}
		if in.Where != "" {
			line += "; where: " + in.Where
		}
		fmt.Fprintln(out, clean(line))
	}
	d.Needs.show(out)
}
