package services

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed catalogue.yaml
var catalogueYAML []byte

// Catalogue is every service that we know. It is safe for concurrent use; nothing changes it after Load.
type Catalogue struct {
	services []Service
	byName   map[string]int // ids and aliases to the index in services
}

// Load reads the embedded catalogue. Reading costs some twenty milliseconds: load it once and pass it on. An error means
// that the program was built from a broken catalogue.
func Load() (*Catalogue, error) {
	return parse(catalogueYAML)
}

// parse reads a catalogue. An unknown field, a duplicate name or a value outside the vocabulary is an error that
// names the entry.
func parse(text []byte) (*Catalogue, error) {
	var file struct {
		Services []Service `yaml:"services"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&file); err != nil {
		return nil, fmt.Errorf("read the catalogue of services: %w", err)
	}
	c := &Catalogue{services: file.Services, byName: make(map[string]int)}
	for i, s := range c.services {
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("catalogue of services: entry %d (%q): %w", i+1, s.ID, err)
		}
		for _, name := range append([]string{s.ID}, s.Aliases...) {
			if other, taken := c.byName[name]; taken {
				return nil, fmt.Errorf("catalogue of services: %q names both %s and %s", name, c.services[other].ID, s.ID)
			}
			c.byName[name] = i
		}
	}
	for _, s := range c.services {
		if _, known := c.byName[s.Carrier]; s.Carrier != "" && !known {
			return nil, fmt.Errorf("catalogue of services: the carrier %q of %s is not in it", s.Carrier, s.ID)
		}
		if _, known := c.byName[s.VariantOf]; s.VariantOf != "" && !known {
			return nil, fmt.Errorf("catalogue of services: %s is a variant of %q, which is not in it", s.ID, s.VariantOf)
		}
	}
	return c, nil
}

func (s Service) validate() error {
	errs := []error{
		name("id", s.ID),
		oneOf("category", s.Category, Mailbox, Transactional, Marketing, Commerce, Support, Gateway),
		oneOf("signs", s.Signs, TXT, CNAME, NS, TXTOrCNAME, None),
		oneOf("rotation", s.Rotation, ByProvider, ByCustomer, Never, RotationUnknown),
		oneOf("return_path", s.ReturnPath, ReturnPathOwn, ReturnPathIncluded, ReturnPathNeeded, ReturnPathOptional, ReturnPathNotPossible, ReturnPathUnknown),
		oneOf("evidence", s.Evidence, Confirmed, Memory, Unknown),
	}
	for _, alias := range s.Aliases {
		errs = append(errs, name("alias", alias))
	}
	if strings.TrimSpace(s.Title) == "" {
		errs = append(errs, errors.New("title is missing"))
	}
	if s.Signs != None && len(s.Records) == 0 && s.SelectorHint == "" {
		errs = append(errs, errors.New("neither records nor selector_hint say which selectors it uses"))
	}
	for _, r := range s.Records {
		if len(r.Selectors) == 0 {
			errs = append(errs, errors.New("a record without selectors"))
		}
		if s.Signs == TXT && len(r.Targets) > 0 {
			errs = append(errs, errors.New("a TXT record has no target"))
		}
		if len(r.Forms) > 0 && len(r.Forms) != len(r.Targets) {
			errs = append(errs, errors.New("forms and targets are not of the same number"))
		}
		errs = append(errs, oneOf("holds", r.Holds, HoldsNothing, HoldsDomain, HoldsDashed))
		for _, p := range r.Selectors {
			errs = append(errs, p.checkSelector())
		}
		for _, p := range r.Targets {
			errs = append(errs, p.checkTarget())
		}
	}
	errs = append(errs, s.validateSetup())
	return errors.Join(errs...)
}

// validateSetup checks what an entry says of setting the service up.
func (s Service) validateSetup() error {
	var errs []error
	for _, in := range s.Inputs {
		if in.Name == "" || in.Question == "" {
			errs = append(errs, errors.New("an input without name or question"))
		}
	}
	for _, x := range s.Also {
		errs = append(errs, oneOf("for", x.For, ForReturnPath, ForSPF, ForDMARC, ForVerification), oneOf("type", x.Type, "", "CNAME", "MX", "TXT"),
			oneOf("evidence", x.Evidence, "", Confirmed, Memory))
		if x.Name == "" {
			errs = append(errs, errors.New("a further record without a name"))
		}
	}
	for _, p := range s.MX {
		errs = append(errs, p.checkTarget())
	}
	for _, domain := range s.Domains {
		if errs = append(errs, Pattern(domain).checkTarget()); !Pattern(domain).literal() {
			errs = append(errs, fmt.Errorf("domain %q: a plain name is wanted", domain))
		}
	}
	for _, token := range s.Tokens {
		if len(token) < minToken || !strings.HasSuffix(token, "=") {
			errs = append(errs, fmt.Errorf("token %q is too general: it would be seen everywhere", token))
		}
	}
	if s.MinDays < 0 {
		errs = append(errs, errors.New("min_days is negative"))
	}
	return errors.Join(errs...)
}

// minToken is the least that a verification record has to begin with to tell something.
const minToken = 8

func oneOf[T ~string](field string, value T, allowed ...T) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s is %q, want one of %v", field, value, allowed)
}

func name(field, s string) error {
	if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return fmt.Errorf("%s %q is not made of lower-case letters, digits and inner hyphens", field, s)
	}
	return nil
}
