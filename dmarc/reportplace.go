package dmarc

// place is where in a report the reader is.
type place uint8

const (
	elOther place = iota // one that is not known, and all below it
	elOutside
	elFeedback
	elVersion
	elMetadata
	elOrgName
	elEmail
	elContact
	elReportID
	elDateRange
	elBegin
	elEnd
	elError
	elGenerator
	elPublished
	elPubDomain
	elPubPolicy
	elPubSubdomains
	elPubNonexistent
	elPubDKIM
	elPubSPF
	elPubDiscovery
	elPubFailureWhen
	elPubTesting
	elPubPercent
	elRecord
	elRow
	elSourceIP
	elCount
	elEvaluated
	elDisposition
	elEvalDKIM
	elEvalSPF
	elReason
	elReasonType
	elReasonComment
	elIdentifiers
	elHeaderFrom
	elEnvelopeFrom
	elEnvelopeTo
	elAuthResults
	elDkim
	elDkimDomain
	elDkimSelector
	elDkimResult
	elDkimHuman
	elSpf
	elSpfDomain
	elSpfScope
	elSpfResult
	elSpfHuman
	places // how many there are
)

// child says which element a name is within another one.
func (e place) child(name []byte) place {
	switch e {
	case elOutside:
		if string(name) == "feedback" {
			return elFeedback
		}
	case elFeedback:
		switch string(name) {
		case "version":
			return elVersion
		case "report_metadata":
			return elMetadata
		case "policy_published":
			return elPublished
		case "record":
			return elRecord
		}
	case elMetadata:
		switch string(name) {
		case "org_name":
			return elOrgName
		case "email":
			return elEmail
		case "extra_contact_info":
			return elContact
		case "report_id":
			return elReportID
		case "date_range":
			return elDateRange
		case "error":
			return elError
		case "generator":
			return elGenerator
		}
	case elDateRange:
		switch string(name) {
		case "begin":
			return elBegin
		case "end":
			return elEnd
		}
	case elPublished:
		switch string(name) {
		case "domain":
			return elPubDomain
		case "p":
			return elPubPolicy
		case "sp":
			return elPubSubdomains
		case "np":
			return elPubNonexistent
		case "adkim":
			return elPubDKIM
		case "aspf":
			return elPubSPF
		case "discovery_method":
			return elPubDiscovery
		case "fo":
			return elPubFailureWhen
		case "testing":
			return elPubTesting
		case "pct":
			return elPubPercent
		}
	case elRecord:
		switch string(name) {
		case "row":
			return elRow
		case "identifiers", "identities": // the second is a mistake of some reporters
			return elIdentifiers
		case "auth_results":
			return elAuthResults
		}
	case elRow:
		switch string(name) {
		case "source_ip":
			return elSourceIP
		case "count":
			return elCount
		case "policy_evaluated":
			return elEvaluated
		}
	case elEvaluated:
		switch string(name) {
		case "disposition":
			return elDisposition
		case "dkim":
			return elEvalDKIM
		case "spf":
			return elEvalSPF
		case "reason":
			return elReason
		}
	case elReason:
		switch string(name) {
		case "type":
			return elReasonType
		case "comment":
			return elReasonComment
		}
	case elIdentifiers:
		switch string(name) {
		case "header_from":
			return elHeaderFrom
		case "envelope_from":
			return elEnvelopeFrom
		case "envelope_to":
			return elEnvelopeTo
		}
	case elAuthResults:
		switch string(name) {
		case "dkim":
			return elDkim
		case "spf":
			return elSpf
		}
	case elDkim:
		switch string(name) {
		case "domain":
			return elDkimDomain
		case "selector":
			return elDkimSelector
		case "result":
			return elDkimResult
		case "human_result":
			return elDkimHuman
		}
	case elSpf:
		switch string(name) {
		case "domain":
			return elSpfDomain
		case "scope":
			return elSpfScope
		case "result":
			return elSpfResult
		case "human_result":
			return elSpfHuman
		}
	}
	return elOther
}
