package report

// The limits of what is read (reference: attacks A17 to A21). Each is far above what reporters send.
const (
	// MaxInput is the largest mail or file, in octets. Mail servers take a few tens of megabytes.
	MaxInput = 64 << 20
	// MaxInflated is the most that one document inflates to. Reports of 100 MiB have been seen.
	MaxInflated = 256 << 20
	// maxRatio is how many times larger a document may get by inflating, beyond freeInflated. XML of ten thousand equal records reaches 150.
	maxRatio = 300
	// freeInflated is what any document may inflate to.
	freeInflated = 4 << 20
	// maxInflatedInAll is what all documents of one input inflate to together. Reporters send one, or a handful.
	maxInflatedInAll = 512 << 20
	// maxHeld is what all that is unpacked and is no document takes in memory together: archives in archives, attachments, mails in mails.
	maxHeld = 2 * MaxInput
	// maxFiles is how many files of archives are looked at in one input, and maxDirectory how many one archive may list.
	maxFiles     = 256
	maxDirectory = 4096
	// maxProblems is how many problems of one input are told.
	maxProblems = 256
	// maxWraps is how often a document is wrapped: a zip within a gzip within a forwarded mail.
	maxWraps = 5
	// maxDocuments is how many documents one input holds.
	maxDocuments = 64
	// maxParts is how many parts of one mail are looked at.
	maxParts = 256
	// maxJSON is the largest TLS report, in octets; it is read as a whole.
	maxJSON = 16 << 20
	// maxTLSPolicies is how many policies a TLS report has, and maxTLSFailures how many kinds of failures under all of them.
	maxTLSPolicies = 10_000
	maxTLSFailures = 100_000
	// maxTLSWords is how many lines of a policy, or hosts of it, are kept.
	maxTLSWords = 100
	// maxSessions bounds a count of sessions, so that sums do not overflow.
	maxSessions = 1 << 40
	// maxFailure is the largest failure report, in octets.
	maxFailure = 4 << 20
	// maxFields is how many fields of a header are read, and maxField the longest value, in octets; the rest is cut off.
	maxFields = 500
	maxField  = 4096
	// maxKept is the longest text of a report that is kept, in octets.
	maxKept = 255
	// maxShapes is how much the records of one report may differ beside source and count, in octets. A report of a hundred thousand records stays below a few hundred thousand.
	maxShapes = 64 << 20
	// maxErrors is how many errors of a reporter are kept, maxReasons and maxSPFResults how many of one record.
	maxErrors, maxReasons, maxSPFResults = 10, 20, 20
	// recountedAtOnce is how many reports are attributed anew at once.
	recountedAtOnce = 50
)
