package zonefile

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/programs"
)

// Config says which file is written.
type Config struct {
	File    string // absolute path
	Zone    string // that the file is of
	Program string // run after each change, with the zone and the file as arguments, so that the name server loads it; "" = the server notices by itself
	Dir     programs.Dir
	Now     func() time.Time // nil = time.Now
}

// New makes a provider. The error is fault.Invalid.
func New(c Config) (*hosted.Provider, error) {
	if !filepath.IsAbs(c.File) {
		return nil, fault.New(fault.Invalid, "the zone's file %q is no absolute path", c.File)
	}
	if c.Zone == "" {
		return nil, fault.New(fault.Invalid, "the publisher does not say which zone the file is of").WithHint("write zone: example.com")
	}
	if c.Program != "" {
		if _, err := c.Dir.Path(c.Program); err != nil {
			return nil, err
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Zone = plain(c.Zone)
	return hosted.NewProvider("the zone file "+c.File, &vendor{c}, publisher.Capabilities{}, hosted.Options{Zone: c.Zone})
}

type vendor struct{ Config }

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(_ context.Context, name string) (string, error) {
	_, err := v.read(name)
	return name, err
}

// read reads the file and parses it.
func (v *vendor) read(zone string) ([]dns.RR, error) {
	text, err := readFile(v.File)
	if err != nil {
		return nil, err
	}
	return parse(text, zone, v.File)
}

// At implements hosted.Vendor.
func (v *vendor) At(_ context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	rrs, err := v.read(zone.Name)
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, rr := range rrs {
		if plain(rr.Header().Name) != name {
			continue
		}
		r := hosted.Record{Type: dns.TypeToString[rr.Header().Rrtype], TTL: hosted.Seconds(int(rr.Header().Ttl)), Value: "a record"}
		if own, ok := publisher.FromRR(name, rr); ok {
			r.Value = publisher.ValueOf(own)
		}
		out = append(out, r)
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	lock, err := lockFile(v.File)
	if err != nil {
		return err
	}
	defer lock.Close()
	before, err := readFile(v.File)
	if err != nil {
		return err
	}
	after, err := v.edit(before, zone.Name, w)
	if err != nil {
		return err
	}
	if err := replaceFile(v.File, before, after); err != nil {
		return err
	}
	if v.Program == "" {
		return nil
	}
	if _, err := v.Dir.Run(ctx, v.Program, nil, zone.Name, v.File); err != nil {
		// What the name server does not load must not stand in the file, or it would count as published.
		if back := replaceFile(v.File, after, before); back != nil {
			message, _ := fault.Show(back)
			return fault.Wrap(fault.Unavailable, err, "the name server did not load %s, and the file could not be put back: %s", v.File, message).
				WithHint("load the zone by hand")
		}
		message, hint := fault.Show(err)
		return fault.Wrap(fault.Unavailable, err, "the file was changed and put back, because the name server did not load it: %s", message).WithHint("%s", hint)
	}
	return nil
}

// edit makes the change of one record set in the text of the file.
func (v *vendor) edit(text []byte, zone string, w hosted.Write) ([]byte, error) {
	rrs, err := parse(text, zone, v.File)
	if err != nil {
		return nil, err
	}
	target := dns.Fqdn(w.Name)
	isTarget := func(rr dns.RR) bool {
		return strings.EqualFold(rr.Header().Name, target) && dns.TypeToString[rr.Header().Rrtype] == w.Type
	}
	// What stands now must be what was read a moment ago.
	var have []string
	for _, rr := range rrs {
		if own, ok := publisher.FromRR(w.Name, rr); ok && isTarget(rr) {
			have = append(have, publisher.ValueOf(own))
		}
	}
	var expect []string
	for _, r := range w.Have {
		expect = append(expect, r.Value)
	}
	slices.Sort(have)
	slices.Sort(expect)
	if !slices.Equal(have, expect) {
		return nil, fault.New(fault.Conflict, "the file %s changed meanwhile at %s", v.File, w.Name).WithHint("it is looked at again")
	}
	var wanted []dns.RR
	for _, r := range w.Want {
		rr, err := publisher.ToRR(zone, publisher.NewRecord(w.Name+".", w.Type, r.Value, r.TTL))
		if err != nil {
			return nil, err
		}
		rr.Header().Name = target
		wanted = append(wanted, rr)
	}
	e := editor{zone: zone, file: v.File, text: string(text), rrs: rrs}
	for _, rr := range rrs {
		if isTarget(rr) {
			if err := e.remove(rr); err != nil {
				return nil, err
			}
		}
	}
	for _, rr := range wanted {
		e.add(rr)
	}
	if err := e.raiseSerial(v.Now()); err != nil {
		return nil, err
	}
	return e.proven()
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
