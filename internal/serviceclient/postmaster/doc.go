// Package postmaster asks Google's Postmaster Tools what Gmail saw of a domain's mail: per day the shares that passed DKIM, SPF and DMARC, that people called spam, and
// that were refused. It is a second witness beside the reports that Gmail sends.
//
// Files: postmaster.go (the client), traffic.go (version 1 of the API), query.go (version 2), day.go (what is said of a day), compare.go (beside the figures of the reports, with
// the disagreement named), witness.go (both together, and what they mean).
//
// Version 1 has everything in one resource for each day (domains.trafficStats). Version 2 has the same figures as metrics that are asked for one by one (domains.domainStats:query), over
// ranges of dates whose end counts, with scopes of its own; it has no reputations any more, and other words for delivery errors. Both give the same Days, so that whoever asks need not care.
package postmaster
