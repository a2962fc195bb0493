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
