package resolver

import "time"

const (
	// DefaultTimeout is the time for one attempt at one server: far servers with a cold cache need more than a second, and
	// a lost datagram should not cost more than a person's patience.
	DefaultTimeout = 2 * time.Second

	// DefaultTotal is the time for one call with everything in it. A zone whose servers are all dead takes about four
	// attempts in a row; a chain of CNAMEs several times that.
	DefaultTotal = 30 * time.Second

	// DefaultTries is how often a silent server is asked over UDP. The second try is for the lost datagram; a server that
	// loses two in a row is in trouble that the caller should see.
	DefaultTries = 2

	// udpSize is what EDNS announces: the largest datagram that crosses the Internet unfragmented (DNS flag day 2020).
	udpSize = 1232

	// udpBuffer holds datagrams of servers that ignore what was announced.
	udpBuffer = 4096

	// maxHops is the longest chain of CNAMEs that is followed (finding DKIM-D04).
	maxHops = 8

	// maxServers is how many addresses of one zone are asked: the root and com have 13 names with two addresses each.
	// The rest is reported as one answer of StatusError, so that nobody takes the asked ones for all.
	maxServers = 32

	// maxServerNames is how many name server names of one zone are looked up; the root's 13 fit with room.
	maxServerNames = 20

	// maxTargets is how many different CNAME targets the servers of one zone may name before the chain is given up: the
	// old and the new one during a change, doubled.
	maxTargets = 4

	// maxDescents is how many zone cuts below the first zone are followed; names have far fewer in practice.
	maxDescents = 8

	// maxQueries bounds the questions of one call, whatever strangers' zones refer to. The widest honest case, three
	// zones of thirteen servers with two addresses, needs under 300.
	maxQueries = 640

	// maxParallel is how many questions of one call are under way at once.
	maxParallel = 8

	// maxTXT is how many TXT records at one name are read. A domain's apex collects dozens of verification tokens.
	maxTXT = 256

	// maxAddresses is how many addresses of one look-up are used.
	maxAddresses = 16

	// maxFile is the size of a file for NewFile: the test suites' are under 100 kB, an export of a large zone some MB.
	maxFile = 16 << 20

	// RFC 1035 §2.3.4, without the root's length octet, as text.
	maxName  = 253
	maxLabel = 63
)

// The bounds of a Cache.
const (
	// DefaultCacheEntries is how many answers are kept. A message asks some ten names, most of them shared with its sender's other mail:
	// this holds the correspondents of a busy server for an hour.
	DefaultCacheEntries = 16384

	// DefaultCacheOctets is what the kept answers may take together, names and a fixed amount for each included: twice what that
	// many typical answers need.
	DefaultCacheOctets = 32 << 20

	// DefaultCacheQuestions is how many questions are under way at once. Each has a socket and at most one reply of 64 KiB; a thousand
	// questions a second with answers that take half a second stay below it.
	DefaultCacheQuestions = 512

	// DefaultCacheTimeout is the time for one question, whoever waits for it: two servers with two tries of two seconds, and the question
	// that tells bogus from dead.
	DefaultCacheTimeout = 10 * time.Second

	// maxAnswerOctets is the longest answer that is used, counted in the text of its records. The longest key record of sense has 760 octets,
	// the apex of a large company some 10 kB of verification tokens.
	maxAnswerOctets = 16 << 10

	// entryOctets is counted for each kept answer beside its text: the structures around it.
	entryOctets = 320

	// minPositive keeps records with TTL 0 from being asked for each of the signatures of one message.
	minPositive = 5 * time.Second

	// maxPositive is the longest that a record is kept, whatever its TTL says: a revoked key must not verify for weeks (RFC 2181
	// §8 allows years).
	maxPositive = 24 * time.Hour

	// minNegative is for denials without SOA or with a TTL of zero, which RFC 2308 §5 wants asked again soon.
	minNegative = 5 * time.Second

	// maxNegative is the longest that a denial is kept: a fleet that is about to publish a key must not stay hidden longer than
	// it waits itself before it signs.
	maxNegative = 15 * time.Minute

	// keepTrouble is how long a failure is kept: long enough that a dead server is not asked for each message, short enough
	// that the next try of the sender finds it back (RFC 9520 §3.2 wants one second at least).
	keepTrouble = 5 * time.Second
)
