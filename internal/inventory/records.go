package inventory

// Purpose says what a wanted record is for; the words are those that the life of records uses.
type Purpose string

const (
	PurposeForeign   Purpose = "foreign"   // a TXT key that a service gave
	PurposeDelegated Purpose = "delegated" // a CNAME to a service, which has the key behind it
	PurposeDMARC     Purpose = "dmarc"     // the policy at _dmarc
	PurposeReport    Purpose = "report"    // where a destination says that it takes DMARC reports about a domain
	PurposeSlot      Purpose = "slot"      // a CNAME from a slot to where its keys lie
)

// WantedRecord is a DNS record set that the inventory asks for by itself. Records of managed keys are not among them:
// their values come from the holders.
type WantedRecord struct {
	Name         string  `json:"name"`  // absolute, lower case, no trailing dot
	Type         string  `json:"type"`  // TXT or CNAME
	Value        string  `json:"value"` // complete TXT value, or target without trailing dot
	Purpose      Purpose `json:"purpose"`
	AssignmentID string  `json:"assignment_id,omitempty"` // "" for _dmarc
	Publisher    string  `json:"publisher,omitempty"`     // who writes it; "" = the domain's
}

// WantedRecords returns the records that a domain's services and its DMARC policy ask for, in the order of the
// assignments and _dmarc last. Assignments of other domains and ended ones are passed over.
func WantedRecords(d Domain, as []Assignment) []WantedRecord {
	var wanted []WantedRecord
	for _, a := range as {
		if a.Domain != d.Name || !a.Ended.IsZero() {
			continue
		}
		purpose := PurposeForeign
		switch a.Class {
		case ClassManaged:
			continue
		case ClassDelegated:
			purpose = PurposeDelegated
		}
		for _, r := range a.Records {
			wanted = append(wanted, WantedRecord{
				Name: KeyName(r.Selector, d.Name), Type: r.Type, Value: r.Value, Purpose: purpose, AssignmentID: a.ID,
			})
		}
	}
	if d.DMARC != "" {
		wanted = append(wanted, WantedRecord{Name: "_dmarc." + d.Name, Type: "TXT", Value: d.DMARC, Purpose: PurposeDMARC})
	}
	return wanted
}

// SlotTarget is where the key of a slot lies in a zone of ours. A slot has one label, so that no two slots have one target; and the name has
// no underscore of its own, because some DNS hosts take none in a CNAME's target.
func SlotTarget(slot, domain, zone string) string { return slot + "." + domain + "." + zone }

// KeyName is the owner name of a selector's record (RFC 6376 §3.6.2.1).
func KeyName(selector, domain string) string { return selector + "._domainkey." + domain }
