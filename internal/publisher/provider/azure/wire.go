package azure

import (
	"strings"
	"time"

	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
)

type recordSet struct {
	Name       string     `json:"name,omitempty"`
	Type       string     `json:"type,omitempty"` // Microsoft.Network/dnszones/TXT
	ETag       string     `json:"etag,omitempty"`
	Properties properties `json:"properties"`
}

type properties struct {
	TTL   int     `json:"TTL"`
	TXT   []txt   `json:"TXTRecords,omitempty"`
	CNAME *cname  `json:"CNAMERecord,omitempty"`
	Alias *target `json:"targetResource,omitempty"`
}

type txt struct {
	Value []string `json:"value"` // the strings
}

type cname struct {
	Target string `json:"cname"`
}

type target struct {
	ID string `json:"id,omitempty"`
}

// records are the records of a set; each carries the set's entity tag. Of other types it only matters that they are there.
func (s recordSet) records(zone hosted.Zone) []hosted.Record {
	rrtype := s.Type[strings.LastIndexByte(s.Type, '/')+1:]
	one := hosted.Record{Type: rrtype, TTL: time.Duration(s.Properties.TTL) * time.Second, ID: s.ETag}
	var out []hosted.Record
	switch {
	case rrtype == publisher.TXT:
		for _, t := range s.Properties.TXT {
			r := one
			r.Value = strings.Join(t.Value, "")
			out = append(out, r)
		}
	case rrtype == publisher.CNAME && s.Properties.CNAME != nil:
		one.Value = s.Properties.CNAME.Target
		out = append(out, one)
	default:
		one.Value = "a record set"
		if s.Properties.Alias != nil && s.Properties.Alias.ID != "" {
			one.Value = "alias of " + s.Properties.Alias.ID
		}
		out = append(out, one)
	}
	return out
}

// wanted is the body of a write.
func wanted(w hosted.Write) recordSet {
	s := recordSet{Properties: properties{TTL: w.TTLOf()}}
	for _, r := range w.Want {
		if w.Type == publisher.CNAME {
			s.Properties.CNAME = &cname{Target: r.Value}
			continue
		}
		s.Properties.TXT = append(s.Properties.TXT, txt{Value: publisher.Strings(r.Value)})
	}
	return s
}
