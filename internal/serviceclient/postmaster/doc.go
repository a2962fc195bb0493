// Package postmaster asks Google's Postmaster Tools what Gmail saw of a domain's mail: per day the shares that passed DKIM, SPF and DMARC, that people called spam, and
// that were refused. It is a second witness beside the reports that Gmail sends.
//
// Files: postmaster.go (the client), day.go (what the API says of a day, checked), compare.go (beside the figures of the reports, with the disagreement named).
//
// It speaks version 1 of the API, which has everything in one resource for each day (domains.trafficStats). Version 2 has the same figures as metrics that are asked for one by one
// (domains.domainStats:query with AUTH_SUCCESS_RATE and a filter auth_type, SPAM_RATE, DELIVERY_ERROR_RATE), over ranges of dates and several domains at once, other scopes
// (postmaster.traffic.readonly), and a status of compliance (domains.getComplianceStatus) in the place of the reputations of domains and addresses, which it does not have any more.
// Where Google has ended version 1, Stats and Day are what changes; what they return does not, but for Reputation, which then stays empty.
package postmaster
