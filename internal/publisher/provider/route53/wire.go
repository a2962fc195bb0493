package route53

import (
	"encoding/xml"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

type zonesPage struct {
	XMLName xml.Name `xml:"ListHostedZonesByNameResponse"`
	Zones   []struct {
		ID      string `xml:"Id"`
		Name    string
		Private bool `xml:"Config>PrivateZone"`
	} `xml:"HostedZones>HostedZone"`
	Truncated bool   `xml:"IsTruncated"`
	NextName  string `xml:"NextDNSName"`
	NextID    string `xml:"NextHostedZoneId"`
}

type setsPage struct {
	XMLName        xml.Name    `xml:"ListResourceRecordSetsResponse"`
	Sets           []recordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
	Truncated      bool        `xml:"IsTruncated"`
	NextName       string      `xml:"NextRecordName"`
	NextType       string      `xml:"NextRecordType"`
	NextIdentifier string      `xml:"NextRecordIdentifier"`
}

type recordSet struct {
	Name       string
	Type       string
	Identifier string  `xml:"SetIdentifier,omitempty"` // of a routing policy: one of several sets at the name
	TTL        int     `xml:",omitempty"`
	Values     []value `xml:"ResourceRecords>ResourceRecord,omitempty"`
	Alias      *struct {
		Target string `xml:"DNSName"`
	} `xml:"AliasTarget"`
}

type value struct {
	Value string
}

// records are what stands at the set's name. What a routing policy chooses, or an alias gives, is nobody's plain record: it is shown as it is and never ours.
func (s recordSet) records(zone hosted.Zone) []hosted.Record {
	ttl := time.Duration(s.TTL) * time.Second
	if s.Alias != nil {
		return []hosted.Record{{Type: s.Type, Value: "alias of " + s.Alias.Target, TTL: ttl}}
	}
	var out []hosted.Record
	for _, v := range s.Values {
		r := hosted.FromPresentation(zone, s.Type, v.Value, ttl)
		if s.Identifier != "" {
			r.Value += " (routing policy " + s.Identifier + ")"
		}
		out = append(out, r)
	}
	return out
}

type changeBatch struct {
	XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsRequest"`
	Changes []change `xml:"ChangeBatch>Changes>Change"`
}

type change struct {
	Action string
	Set    recordSet `xml:"ResourceRecordSet"`
}

type changeInfo struct {
	XMLName xml.Name `xml:"ChangeResourceRecordSetsResponse"`
	Status  string   `xml:"ChangeInfo>Status"`
}

// plain is a name as the API writes it (octal escapes, trailing dot) in our form.
func plain(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' && i+3 < len(name) {
			if v, err := strconv.ParseUint(name[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return strings.ToLower(strings.TrimSuffix(b.String(), "."))
}

// explain reads the two forms of a refusal.
func explain(_ int, body []byte) webapi.Problem {
	var e struct {
		XMLName  xml.Name
		Code     string   `xml:"Error>Code"`
		Message  string   `xml:"Error>Message"`
		Messages []string `xml:"Messages>Message"`
	}
	if xml.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	if e.XMLName.Local == "InvalidChangeBatch" {
		return webapi.Problem{Code: fault.Conflict, Message: strings.Join(e.Messages, "; ")}
	}
	p := webapi.Problem{Message: e.Message}
	switch e.Code {
	case "Throttling", "ThrottlingException", "PriorRequestNotComplete", "ServiceUnavailable", "RequestExpired":
		p.Code = fault.Unavailable
	case "AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidSignature", "IncompleteSignature", "MissingAuthenticationToken", "NotAuthorizedException":
		p.Code = fault.Denied
	case "NoSuchHostedZone":
		p.Code = fault.NotFound
	case "InvalidChangeBatch":
		p.Code = fault.Conflict
	}
	return p
}
