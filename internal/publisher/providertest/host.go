package providertest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Host is what stands behind a stand-in of a DNS host's API: zones with records as the vendor stores them. The stand-in speaks the vendor's
// protocol and calls it; a bad day (Day) changes what becomes of the calls. It is safe for concurrent use.
type Host struct {
	mu    sync.Mutex
	zones map[string][]HostRecord
	next  int
	day   Day
	lag   int
	old   map[string][]HostRecord // the zones before the last change, while reads lag
}

// HostRecord is one record of a Host.
type HostRecord struct {
	ID   string
	Name string // absolute, lower case, no trailing dot
	Type string
	Raw  string // the value as the vendor writes it
	TTL  int    // seconds
}

// NewHost makes a host of empty zones.
func NewHost(zones ...string) *Host {
	h := &Host{zones: make(map[string][]HostRecord)}
	for _, z := range zones {
		h.zones[z] = nil
	}
	return h
}

// Zones returns the names of the zones.
func (h *Host) Zones() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.zones))
}

// Has says whether there is such a zone.
func (h *Host) Has(zone string) bool { return slices.Contains(h.Zones(), zone) }

// At returns the records at a name, "" = in the whole zone, as the API shows them.
func (h *Host) At(zone, name string) []HostRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := h.zones
	if h.lag > 0 && h.old != nil {
		h.lag--
		from = h.old
	}
	var out []HostRecord
	for _, r := range from[zone] {
		if name == "" || r.Name == strings.ToLower(name) {
			out = append(out, r)
		}
	}
	return out
}

// Find returns a record by its id.
func (h *Host) Find(zone, id string) (HostRecord, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.zones[zone] {
		if r.ID == id {
			return r, true
		}
	}
	return HostRecord{}, false
}

// Replace makes the record set of a type at a name be these records. The error is a failure of the day, for the stand-in to answer as the vendor does.
func (h *Host) Replace(zone, name, rrtype string, records []HostRecord) error {
	name = strings.ToLower(name)
	return h.change(zone, func(standing []HostRecord) (half, whole []HostRecord) {
		half = slices.DeleteFunc(slices.Clone(standing), func(r HostRecord) bool { return r.Name == name && r.Type == rrtype })
		whole = slices.Clone(half)
		for _, r := range records {
			r.ID, r.Name, r.Type = h.id(), name, rrtype
			whole = append(whole, r)
		}
		return half, whole
	})
}

// Create adds a record and returns it with its id.
func (h *Host) Create(zone string, r HostRecord) (HostRecord, error) {
	r.Name = strings.ToLower(r.Name)
	err := h.change(zone, func(standing []HostRecord) (half, whole []HostRecord) {
		r.ID = h.id()
		return standing, append(slices.Clone(standing), r)
	})
	return r, err
}

// Update replaces the record that has the id of r. By half, the old one goes and the new one does not come.
func (h *Host) Update(zone string, r HostRecord) error {
	r.Name = strings.ToLower(r.Name)
	return h.change(zone, func(standing []HostRecord) (half, whole []HostRecord) {
		half = slices.DeleteFunc(slices.Clone(standing), func(s HostRecord) bool { return s.ID == r.ID })
		return half, append(slices.Clone(half), r)
	})
}

// Delete removes a record by its id.
func (h *Host) Delete(zone, id string) error {
	return h.change(zone, func(standing []HostRecord) (half, whole []HostRecord) {
		return standing, slices.DeleteFunc(slices.Clone(standing), func(s HostRecord) bool { return s.ID == id })
	})
}

// Plant adds a record whatever the day, as another program or person would.
func (h *Host) Plant(zone string, r HostRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.ID, r.Name = h.id(), strings.ToLower(r.Name)
	h.zones[zone] = append(slices.Clone(h.zones[zone]), r)
	h.old = nil
}

// Dump returns all records of a zone as lines in order, whatever the day; not those at the names left out.
func (h *Host) Dump(zone string, without ...string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, r := range h.zones[zone] {
		if !slices.Contains(without, r.Name) {
			out = append(out, fmt.Sprintf("%s %s %d %s %s", r.Name, r.Type, r.TTL, r.ID, r.Raw))
		}
	}
	slices.Sort(out)
	return out
}

// change makes a change of a zone, as far as the day lets it come.
func (h *Host) change(zone string, do func(standing []HostRecord) (half, whole []HostRecord)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := maps.Clone(h.zones)
	half, whole := do(h.zones[zone])
	switch {
	case h.day.Loses:
		return nil
	case h.day.Halves > 0:
		h.day.Halves--
		h.zones[zone] = half
		if h.day.HalfFails {
			return fmt.Errorf("internal server error")
		}
		return nil
	}
	h.zones[zone] = whole
	if h.day.Lags > 0 {
		h.old, h.lag = before, h.day.Lags
	}
	return nil
}

// id returns the next id; h.mu is held.
func (h *Host) id() string {
	h.next++
	return strconv.Itoa(1000 + h.next)
}
