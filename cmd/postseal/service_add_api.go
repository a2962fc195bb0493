package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

// maxToldKeys bounds the key records that one domain can be told to have; what a typed set-up may have bounds a read one too.
const maxToldKeys = 20

// serviceAddAPI are the flags of service add that have the service's own API asked; they are those of service check.
type serviceAddAPI struct {
	on                           bool
	credential, endpoint, region string
}

func (f *serviceAddAPI) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.on, "api", false, "read the records from the service's own API")
	flags.StringVar(&f.credential, "credential", "", "with --api: where the API's key is: `PLACE` is file:/path or env:NAME")
	flags.StringVar(&f.endpoint, "endpoint", "", "with --api: the API's base `URL`, for accounts in another region")
	flags.StringVar(&f.region, "region", "", "with --api: the `REGION` of an account of Amazon SES")
	cmd.MarkFlagsMutuallyExclusive("api", "custom")
}

// check says what is wrong with the flags together.
func (f *serviceAddAPI) check() error {
	switch {
	case !f.on && f.credential+f.endpoint+f.region != "":
		return fault.New(fault.Invalid, "--credential, --endpoint and --region are for --api").WithHint("add --api, or leave them out")
	case f.on && f.credential == "":
		return fault.New(fault.Invalid, "--api needs --credential").WithHint("--credential file:/PATH or --credential env:NAME says where the API's key is")
	}
	return nil
}

// fromAPI asks the service's API which keys it wants and returns them as answers, one set for each record where they are TXT. typed is
// what flags said: it may repeat what the API says and nothing else.
func (a *serviceAdd) fromAPI(typed services.Answers) ([]services.Answers, error) {
	if err := a.api.tells(a.service); err != nil {
		return nil, err
	}
	typed, notes, err := a.service.Clean(a.out.Domain, typed)
	if err != nil {
		return nil, err
	}
	a.out.Notes = append(a.out.Notes, notes...)
	log := slog.New(slog.NewTextHandler(a.cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	api, err := openService(a.service.ID, webapi.Options{Credential: a.api.credential, Endpoint: a.api.endpoint, Log: log, Once: true}, a.api.region)
	if err != nil {
		return nil, err
	}
	told, err := api.Wanted(a.cmd.Context(), a.out.Domain)
	if err != nil {
		return nil, a.notThere(err)
	}
	report := reportTold(told)
	a.out.API = &report
	if told.Service != a.service.ID {
		s, err := a.catalogue.Find(told.Service)
		if err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Invalid, "the account has %s set up as %s, which is the entry %s, not %s", a.out.Domain, s.Title, s.ID, a.service.ID).
			WithHint("postseal service add %s --domain %s …", s.ID, a.out.Domain)
	}
	sets, err := toldAnswers(told, a.service, a.out.Domain)
	if err != nil {
		return nil, err
	}
	if err := agree(typed, sets); err != nil {
		return nil, err
	}
	a.out.Check = a.checkCommand()
	return sets, nil
}

// tells says why a service's API cannot say which keys a domain has.
func (f *serviceAddAPI) tells(s services.Service) error {
	switch s.ID {
	case "mailchimp", "mandrill":
		return fault.New(fault.Invalid, "the API of %s delivers no DKIM records: they are the same for every customer, and the catalogue has them", s.Title).
			WithHint("leave --api out; postseal service check %s asks the API what it has seen of them", s.ID)
	case "amazon-ses-byodkim":
		return fault.New(fault.Invalid, "the API of %s delivers no DKIM records: the key is your own, and its public half is not told", s.Title).
			WithHint("leave --api out and give --selector NAME --txt VALUE; postseal keygen prints the value")
	}
	return nil
}

// notThere explains that the account does not have the domain, and says where to make it.
func (a *serviceAdd) notThere(err error) error {
	if fault.CodeOf(err) != fault.NotFound {
		return err
	}
	message, hint := fault.Show(err)
	if hint == "" {
		hint = "add it there first: " + a.service.Where() + "; then ask again"
	}
	return fault.Wrap(fault.NotFound, err, "%s does not know %s yet (%s)", a.service.Title, a.out.Domain, message).WithHint("%s", hint)
}

// toldAnswers are the keys that an API wants, as somebody would have typed them. What it says about other names than the domain's is an error.
func toldAnswers(told services.Told, s services.Service, domain string) ([]services.Answers, error) {
	var texts []services.Answers
	targets := services.Answers{Targets: map[string]string{}}
	keys := 0
	for _, r := range told.Records {
		if r.Purpose != services.ToldDKIM || r.State == services.ToldOld {
			continue
		}
		if keys++; keys > maxToldKeys {
			return nil, fault.New(fault.Unavailable, "%s wants more than %d keys for %s, which no service has", s.Title, maxToldKeys, domain)
		}
		selector, ok := strings.CutSuffix(r.Name, "._domainkey."+domain)
		if !ok || selector == "" {
			return nil, fault.New(fault.Invalid, "%s wants its key at %s, which is not a selector of %s", s.Title, clean(r.Name), domain).
				WithHint("name the domain whose key it is, or type the record with --selector and --txt or --cname")
		}
		switch {
		case r.Value == "":
			return nil, fault.New(fault.Invalid, "the API of %s delivers no value for %s", s.Title, clean(r.Name)).
				WithHint("leave --api out and give what the console shows: %s", s.Where())
		case r.Type == "TXT":
			texts = append(texts, services.Answers{Selectors: []string{selector}, TXT: r.Value, Targets: map[string]string{}})
		case r.Type == "CNAME":
			if other, twice := targets.Targets[selector]; twice && other != r.Value {
				return nil, fault.New(fault.Unavailable, "%s wants two targets for the selector %s: %s and %s", s.Title, clean(selector), clean(other), clean(r.Value))
			}
			targets.Targets[selector] = r.Value
		default:
			return nil, fault.New(fault.Unavailable, "%s wants a record of type %s at %s, which holds no key", s.Title, clean(r.Type), clean(r.Name))
		}
	}
	switch {
	case keys == 0:
		return nil, fault.New(fault.Invalid, "the API of %s delivers no DKIM records for %s", s.Title, domain).
			WithHint("set signing up there first: %s; or leave --api out and type what the console shows", s.Where())
	case len(texts) > 0 && len(targets.Targets) > 0:
		return nil, fault.New(fault.Invalid, "%s wants both TXT and CNAME records for the keys of %s", s.Title, domain).
			WithHint("leave --api out and add one kind under another --stream")
	case len(texts) == 0:
		// The selectors are named too: an account that has fewer of them than usual is told so, and not asked for targets that it does not have.
		targets.Selectors = slices.Sorted(maps.Keys(targets.Targets))
		texts = append(texts, targets)
	}
	return texts, nil
}

// agree compares what flags said with what the API says.
func agree(typed services.Answers, told []services.Answers) error {
	differ := func(format string, args ...any) error {
		return fault.New(fault.Conflict, format, args...).WithHint("leave the flag out to take what the API says, or leave --api out to take what you typed; nothing was changed")
	}
	target := func(selector string) (string, bool) {
		for _, t := range told {
			if v, ok := t.Targets[selector]; ok {
				return strings.ToLower(strings.TrimSuffix(v, ".")), true
			}
		}
		return "", false
	}
	for _, selector := range typed.Selectors {
		if !slices.ContainsFunc(told, func(t services.Answers) bool { return slices.Contains(t.Selectors, selector) }) {
			return differ("the selector %s was typed, and the API names %s", clean(selector), toldSelectors(told))
		}
	}
	for _, selector := range slices.Sorted(maps.Keys(typed.Targets)) {
		switch have, ok := target(selector); {
		case !ok:
			return differ("a target for the selector %s was typed, and the API names %s", clean(selector), toldSelectors(told))
		case have != typed.Targets[selector]:
			return differ("for the selector %s the target %s was typed, and the API says %s", clean(selector), clean(typed.Targets[selector]), clean(have))
		}
	}
	if typed.TXT == "" {
		return nil
	}
	same := func(t services.Answers) bool {
		return sameTXT(t.TXT, typed.TXT) && (len(typed.Selectors) == 0 || slices.Contains(typed.Selectors, t.Selectors[0]))
	}
	if !slices.ContainsFunc(told, same) {
		return differ("another TXT value was typed than the API says")
	}
	return nil
}

// sameTXT compares two values as receivers read them: the strings joined, space around tags without meaning.
func sameTXT(a, b string) bool {
	read := func(text string) string { return strings.Join(strings.Fields(audit.ReadValue(text).Text), "") }
	return read(a) == read(b)
}

// toldSelectors lists the selectors for a sentence.
func toldSelectors(told []services.Answers) string {
	var names []string
	for _, t := range told {
		names = append(names, t.Selectors...)
	}
	return clean(strings.Join(names, ", "))
}

// checkCommand is the command line that has the service look at the records.
func (a *serviceAdd) checkCommand() string {
	words := []string{"postseal", "service", "check", a.service.ID, "--domain", a.out.Domain, "--credential", shellWord(a.api.credential)}
	if a.api.endpoint != "" {
		words = append(words, "--endpoint", shellWord(a.api.endpoint))
	}
	if a.api.region != "" {
		words = append(words, "--region", shellWord(a.api.region))
	}
	return strings.Join(words, " ")
}

// checkDoes says what service check does at a service.
func checkDoes(id string) string {
	if id == "amazon-ses" {
		return "see what the service has seen of them (it looks by itself)"
	}
	return "have the service look at them"
}

// shellWord quotes what a shell would take apart.
func shellWord(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// showAPI prints what was read.
func (a *serviceAdd) showAPI(out io.Writer) {
	if a.out.API == nil {
		return
	}
	fmt.Fprintf(out, "Read from the API of %s:\n", a.service.Title)
	for _, r := range a.out.API.Records {
		state := r.State
		if r.Problem != "" {
			state += ": " + r.Problem
		}
		fmt.Fprintf(out, "  %s  %s  %s  (%s, %s)\n", clean(r.Name), clean(r.Type), clean(dash(r.Value)), r.Purpose, clean(state))
	}
	for _, n := range a.out.API.Notes {
		fmt.Fprintf(out, "  %s\n", clean(n))
	}
	fmt.Fprintln(out)
}
