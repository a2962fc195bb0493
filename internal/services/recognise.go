package services

import "slices"

// Recognise says which services may be behind a selector that was seen in DNS or in a report: chain holds the names
// that its CNAME led to, in order, and is empty where there is none or DNS was not asked.
//
// A target that fits is decisive, because the name at its end belongs to the service; a selector alone counts only
// when it is no common word and a single service uses it (s1 is SendGrid's, Tuta's, Wix's and Drip's). Several
// answers share one carrier; the carrier itself comes first. None: not recognised.
func (c *Catalogue) Recognise(selector string, chain []string) []Service {
	for _, hop := range chain {
		var found []Service
		for _, s := range c.services {
			if s.uses(selector, hop) {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			return carriersFirst(found)
		}
	}
	if len(chain) > 0 {
		return nil
	}
	var found []Service
	for _, s := range c.services {
		if s.named(selector) {
			found = append(found, s)
		}
	}
	if sameCarrier(found) {
		return carriersFirst(found)
	}
	return nil
}

// uses reports whether the target fits any of the service's records. The selector of the record does not have to
// fit: selectors can be renamed, and the second hop of a chain has names of the carrier.
func (s Service) uses(selector, target string) bool {
	for _, r := range s.Records {
		for _, p := range r.Targets {
			if p.Match(selector, target) || p.anySelector().Match("", target) {
				return true
			}
		}
	}
	return false
}

// named reports whether the selector is one that only this kind of service would take.
func (s Service) named(selector string) bool {
	r, known := s.record(selector)
	return known && !r.Common && !slices.Contains(r.Selectors, "*")
}

func carriersFirst(found []Service) []Service {
	ordered := make([]Service, 0, len(found))
	for _, s := range found {
		if s.Carrier == "" {
			ordered = append(ordered, s)
		}
	}
	for _, s := range found {
		if s.Carrier != "" {
			ordered = append(ordered, s)
		}
	}
	return ordered
}

// sameCarrier reports whether all of them are one service and those that use its infrastructure.
func sameCarrier(found []Service) bool {
	if len(found) == 0 {
		return false
	}
	carrier := func(s Service) string {
		if s.Carrier != "" {
			return s.Carrier
		}
		return s.ID
	}
	for _, s := range found[1:] {
		if carrier(s) != carrier(found[0]) {
			return false
		}
	}
	return true
}
