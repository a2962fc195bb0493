package inventory

import (
	"slices"
	"testing"
	"time"
)

func TestWantedRecordsOfTheGuide(t *testing.T) {
	d := Domain{Name: "example.com", DMARC: "v=DMARC1; p=none; rua=mailto:dmarc@example.com; ruf=mailto:dmarc@example.com"}
	as := []Assignment{
		{ID: "a_google", Domain: "example.com", Class: ClassForeign, Records: []ServiceRecord{
			{Selector: "google", Type: "TXT", Value: "v=DKIM1; k=rsa; p=GOOGLE_PUBLIC_KEY"}}},
		{ID: "a_sendgrid", Domain: "example.com", Class: ClassForeign, Records: []ServiceRecord{
			{Selector: "sendgrid", Type: "TXT", Value: "v=DKIM1; k=rsa; p=SENDGRID_PUBLIC_KEY"}}},
	}
	want := []WantedRecord{
		{"google._domainkey.example.com", "TXT", "v=DKIM1; k=rsa; p=GOOGLE_PUBLIC_KEY", PurposeForeign, "a_google", ""},
		{"sendgrid._domainkey.example.com", "TXT", "v=DKIM1; k=rsa; p=SENDGRID_PUBLIC_KEY", PurposeForeign, "a_sendgrid", ""},
		{"_dmarc.example.com", "TXT", "v=DMARC1; p=none; rua=mailto:dmarc@example.com; ruf=mailto:dmarc@example.com", PurposeDMARC, "", ""},
	}
	if got := WantedRecords(d, as); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWantedRecordsPassesOver(t *testing.T) {
	d := Domain{Name: "example.com"}
	as := []Assignment{
		{ID: "other", Domain: "example.net", Class: ClassForeign, Records: []ServiceRecord{{"a", "TXT", "x"}}},
		{ID: "ended", Domain: "example.com", Class: ClassForeign, Ended: time.Unix(1, 0), Records: []ServiceRecord{{"b", "TXT", "x"}}},
		{ID: "managed", Domain: "example.com", Class: ClassManaged},
		{ID: "delegated", Domain: "example.com", Class: ClassDelegated, Records: []ServiceRecord{
			{"s1", "CNAME", "s1.domainkey.u1.wl1.sendgrid.net"}, {"s2", "CNAME", "s2.domainkey.u1.wl1.sendgrid.net"}}},
	}
	want := []WantedRecord{
		{"s1._domainkey.example.com", "CNAME", "s1.domainkey.u1.wl1.sendgrid.net", PurposeDelegated, "delegated", ""},
		{"s2._domainkey.example.com", "CNAME", "s2.domainkey.u1.wl1.sendgrid.net", PurposeDelegated, "delegated", ""},
	}
	if got := WantedRecords(d, as); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
