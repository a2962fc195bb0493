package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// Zones returns the names of the zones that the built-in name server serves now, sorted.
func (s *Store) Zones(ctx context.Context) (names []string, err error) {
	err = s.read(ctx, "read the zones", func(t *tx) error {
		names, err = list(ctx, t, `SELECT name FROM zones WHERE name IN (SELECT zone FROM publishers WHERE kind = 'builtin') ORDER BY name`, nil,
			func(s scanner, name *string) error { return s(name) })
		return err
	})
	return names, err
}

// ZoneSerials returns the serials of the zones that the built-in name server serves now, by name.
func (s *Store) ZoneSerials(ctx context.Context) (serials map[string]uint32, err error) {
	err = s.read(ctx, "read the zones' serials", func(t *tx) error {
		serials = make(map[string]uint32)
		return t.rows(ctx, `SELECT name, serial FROM zones WHERE name IN (SELECT zone FROM publishers WHERE kind = 'builtin')`, nil, func(s scanner) error {
			var name string
			var serial uint32
			if err := s(&name, &serial); err != nil {
				return err
			}
			serials[name] = serial
			return nil
		})
	})
	return serials, err
}

// ZonesVersion is a number that changes when a served zone does, or when there are others: cheaper than reading them.
func (s *Store) ZonesVersion(ctx context.Context) (version int64, err error) {
	err = s.read(ctx, "read the zones' version", func(t *tx) error {
		// Serials only grow, and by less than 2^32; a zone more or less moves the number farther than any serial can.
		_, err := t.row(ctx, `SELECT CAST(COALESCE(SUM(serial + 4294967296), 0) AS BIGINT) FROM zones WHERE name IN (SELECT zone FROM publishers WHERE kind = 'builtin')`, nil, &version)
		return err
	})
	return version, err
}

// Zone returns one zone with its records, by name and type. fault.NotFound when the built-in name server does not serve it.
func (s *Store) Zone(ctx context.Context, name string) (zone publisher.StoredZone, err error) {
	err = s.read(ctx, "read zone "+name, func(t *tx) error {
		if zone.Serial, err = t.zoneSerial(ctx, name, ""); err != nil {
			return err
		}
		zone.Name = name
		zone.Records, err = list(ctx, t, `SELECT name, type, ttl, value FROM zone_records WHERE zone = $1 ORDER BY name, type, position`, []any{name},
			func(s scanner, r *publisher.StoredRecord) error {
				return s(&r.Name, &r.Type, &r.TTL, asText(func(v string) error { r.Value, err = unescape(v); return err }))
			})
		return err
	})
	return zone, err
}

// SwapRecordSet makes the record set of one type at one name go from expect to want; the order of values means nothing.
// have are the values of that type that stand there afterwards. When want stands already, with whatever TTL, nothing
// changes. When something else does, or a CNAME and another type would meet at the name, it is fault.Conflict.
// fault.NotFound: the zone is not served.
func (s *Store) SwapRecordSet(ctx context.Context, zone, name, rrtype string, expect, want []string, ttl uint32) (have []string, err error) {
	err = s.write(ctx, "change zone "+zone, func(t *tx) error {
		serial, err := t.zoneSerial(ctx, zone, t.s.d.forUpdate)
		if err != nil {
			return err
		}
		var others []string
		have = nil
		if err := t.rows(ctx, `SELECT type, value FROM zone_records WHERE zone = $1 AND name = $2 ORDER BY type, position`, []any{zone, name}, func(s scanner) error {
			var kind, value string
			if err := s(&kind, asText(func(v string) (err error) { value, err = unescape(v); return err })); err != nil {
				return err
			}
			if kind == rrtype {
				have = append(have, value)
			} else if kind == "CNAME" || rrtype == "CNAME" {
				others = append(others, kind+" "+value)
			}
			return nil
		}); err != nil {
			return err
		}
		switch {
		case len(others) > 0 && len(want) > 0:
			return fault.New(fault.Conflict, "%s already has %s", name, strings.Join(others, ", "))
		case sameValues(have, want):
			return nil
		case !sameValues(have, expect):
			return fault.New(fault.Conflict, "%s %s is not what was expected: it is %q", name, rrtype, have)
		}
		if err := t.replaceSet(ctx, zone, name, rrtype, want, ttl); err != nil {
			return err
		}
		have = slices.Clone(want)
		_, err = t.exec(ctx, `UPDATE zones SET serial = $1 WHERE name = $2`, nextSerial(serial, t.now.Unix()), zone)
		return err
	})
	return have, err
}

func (t *tx) replaceSet(ctx context.Context, zone, name, rrtype string, want []string, ttl uint32) error {
	if _, err := t.exec(ctx, `DELETE FROM zone_records WHERE zone = $1 AND name = $2 AND type = $3`, zone, name, rrtype); err != nil {
		return err
	}
	for i, value := range want {
		if _, err := t.exec(ctx, `INSERT INTO zone_records (zone, name, type, position, ttl, value) VALUES (`+marks(1, 6)+`)`,
			zone, name, rrtype, i, ttl, escape(value)); err != nil {
			return err
		}
	}
	return nil
}

// zoneSerial reads the serial of a zone that is served.
func (t *tx) zoneSerial(ctx context.Context, name, lock string) (serial uint32, err error) {
	ok, err := t.row(ctx, `SELECT serial FROM zones WHERE name = $1 AND name IN (SELECT zone FROM publishers WHERE kind = 'builtin')`+lock, []any{name}, &serial)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "the built-in name server does not serve the zone %s", name).WithHint("declare a publisher of kind builtin with this zone")
	}
	return serial, err
}

// ServeZonesAs raises the serials of all zones that were served in another form before: form says what stands in their NS and SOA records, which come
// from the command line. Secondaries would not see that they changed.
func (s *Store) ServeZonesAs(ctx context.Context, form string) error {
	return s.write(ctx, "note how zones are served", func(t *tx) error {
		type row struct {
			name   string
			serial uint32
		}
		zones, err := list(ctx, t, `SELECT name, serial FROM zones WHERE served_as <> $1 ORDER BY name`+t.s.d.forUpdate, []any{form},
			func(s scanner, r *row) error { return s(&r.name, &r.serial) })
		for _, z := range zones {
			if _, err := t.exec(ctx, `UPDATE zones SET serial = $1, served_as = $2 WHERE name = $3`, nextSerial(z.serial, t.now.Unix()), form, z.name); err != nil {
				return err
			}
		}
		return err
	})
}

// addZone begins to serve a zone. One that was served before goes on from its serial.
func (t *tx) addZone(ctx context.Context, name string) error {
	_, err := t.exec(ctx, `INSERT INTO zones (name, serial) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, nextSerial(0, t.now.Unix()))
	return err
}

// nextSerial follows the clock, so that a zone restored from a backup goes on above what secondaries have seen, and counts
// where changes come faster than seconds. It never gives 0.
func nextSerial(serial uint32, unix int64) uint32 {
	next := serial + 1
	if clock := uint32(unix); unix > 0 && unix <= math.MaxUint32 && int32(clock-next) > 0 { // later, as RFC 1982 compares
		next = clock
	}
	return max(next, 1)
}

func sameValues(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// escape writes octets as TEXT: printable ASCII as it is, everything else and the backslash as \DDD.
func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if len(rest) < 3 {
			return "", fmt.Errorf("%q ends within an escape", s)
		}
		c, err := strconv.ParseUint(rest[:3], 10, 8)
		if err != nil {
			return "", fmt.Errorf("%q: %w", s, err)
		}
		b.WriteByte(byte(c))
		s = rest[3:]
	}
}
