package archtest

// The statement of policy.
//
// What follows is not a description of the imports that happen to exist: it is what they may be. A change here is a
// change of the design. Think first whether the code belongs on another floor, or whether the caller should say what
// it needs as an interface; then change this text, its row in docs/architecture.md, and say why in the commit.
//
// Form: a floor is a line beginning with "floor". An entry is a package, a colon and what it may import; the indented
// lines under it are its reason. Names are those of folders in internal/, except dkim, dmarc and cmd/… . A star stands
// for one path element: every package there has this rule, and they do not import each other. NOUNS and CAPABILITIES
// are the packages of those floors, BELOW is everything on lower floors, and a minus takes one out again.
//
// A package imports only what its entry names, which lies on a lower floor (or is the package it hangs under). Every
// entry but those marked STD may import fault as well; STD packages import the standard library and nothing else.
// Other modules are not listed here: docs/deps.txt is their list. CGO allows import "C". Test files are free, except
// that nobody but a test can import what stands under test support.
const policy = `
floor 0 ground: what everything stands on

fault: STD
	An error with a stable code, a sentence safe to show and a hint. It is the one package that everyone may import, so it must drag nothing along.
dkim: STD
	Public: other programs use it, and auditors read it. A dependency here would be one in every mail server.
dmarc: STD
	Public for the same reasons; what a record or a report means does not depend on us.

floor 1 tools of one trade: none knows an organisation

resolver:
	The only way to DNS, IDNA included. It answers questions and has no opinion about them.
agentapi:
	The contract between agent and control plane. Both sides import it, so it must belong to neither.
authres:
	Authentication-Results fields, written and read: the words of RFC 8601, not where they come from.
milter:
	The milter protocol and nothing of what a message means. Bytes of strangers come in here, so it stays small and is fuzzed alone.
mtalog:
	What an MTA's log says about receivers that refuse. Text of strangers comes in here too, so it is fuzzed alone; it knows neither agent nor fleet.
keystore:
	Where private keys are held. Only the agent has them, so only the agent imports it.
services:
	Facts about outside services, as data.
webapi:
	Clients of other people's HTTP APIs: the secret, limits, retries, errors. DNS hosts and mail services need the same; it knows neither.
awssign:
	Signs requests to the APIs of AWS; a DNS host and a mail service need it.

googleauth:
	Access tokens for Google's APIs with the key of a service account; a DNS host and a mail service need it.

floor 1 tools that lean on those

mailauth: dkim dmarc resolver
	Who wrote a message, as far as its author's domain vouches for it. The agent asks it of mail that comes in, intake of the mail that reports come in.
oauth: webapi googleauth
	Access tokens for mailboxes, made of a credential. The mailbox itself knows only that there is one (an interface of intake); webapi keeps secret and token, googleauth is one of the ways.

floor 2 nouns: what an organisation has and what happened to it

journal:
	Intent, outcome, events. Everything that acts writes here first, so it knows nobody.
inventory: dmarc services
	Domains, servers, pools, services, assignments. services, because a service's id is checked when it is named; dmarc, because a policy that receivers would ignore is refused where it is written, and where its reports go decides which records are wanted.

floor 2 nouns that lean on the first two

access: inventory journal
	Users, tokens and roles are about inventory's labels, and what they do is journalled.
evidence: resolver inventory
	Looks at DNS once for everybody who needs it; which zones there are, the inventory says.

floor 3 capabilities: siblings never import siblings

lifecycle: dkim evidence inventory journal
	A key from plan to removal. It does not import publisher or fleet: the planner is pure, and what it needs done is an interface of its own.
publisher: evidence inventory journal
	Makes a zone hold our records and touch nothing else; it reads back what it wrote through evidence.
audit: dkim dmarc resolver evidence inventory services
	Observations to findings. It looks at records that are not ours, therefore resolver.
ticket: evidence inventory journal
	Asks people for changes of DNS. What is done, evidence says; the changes themselves come from the store, so that it needs neither lifecycle nor publisher.
probe: dkim agentapi inventory journal
	Proves paths by messages of its own. agentapi, because a server's probe is an order to its agent, within the contract's limits; dkim for the words of results.
report: dkim dmarc resolver inventory services
	Report bytes to attributed facts. No sockets: bytes come from intake or the command line.
fleet: agentapi inventory journal
	The control plane's side of the agents.
alert: journal
	Tells people what the journal says. Who raises an alert does not import it.
serviceclient/*: services webapi awssign googleauth
	One client for each outside service's API; none knows the others.

floor 3 what hangs on a capability

publisher/hosted: publisher webapi
	Compare and set through a DNS host's HTTP API. It knows no vendor.
publisher/programs:
	Runs the programs that an administrator put beside the control plane. What they are for, the ways into a zone know.

floor 3 the ways into a zone

publisher/provider/*: publisher publisher/hosted publisher/programs webapi awssign googleauth
	One package for each way into a zone. It knows the interface that it fills and nothing of the fleet.

floor 4 the shapes on the wire

api/client:
	The Go client of the HTTP API. It imports nothing of the server, so that other programs can use it.

floor 4 edges: never import each other

api: CAPABILITIES NOUNS agentapi api/client dmarc
	The HTTP API. It asks the same questions as web and shares none of its code. The shapes on the wire stand once, in its client. It also carries the agents' contract. dmarc, because the rows of reports are shown as they were received.
web: CAPABILITIES NOUNS
	The console. Server-rendered from the capabilities, not from the API.
store: CAPABILITIES NOUNS agentapi dmarc
	Fills the storage interfaces that capabilities and nouns declare; they do not know that it exists. Instructions for agents are composed where the wishes are, in one transaction. dmarc, because the rows of reports are stored as they were received.
nameserver: publisher inventory
	The built-in name server answers with what publisher wants to exist.
intake: dkim dmarc resolver mailauth report probe
	Mail and IMAP connections that reports come in by; what a report says is report's business, and what a probe shows that of probe. dkim, dmarc, mailauth and resolver, because the mail that a report or a probe comes in is verified where it arrives.

floor 5 the two programs

agent: dkim dmarc resolver agentapi authres milter mtalog keystore mailauth
	Its import cone stays small enough to read in a day: it runs beside every mail server and holds the keys.
server: BELOW -keystore
	The only place that knows everyone. It never holds a private key of a domain, therefore not keystore.

floor 6 a whole fleet in one process

demo: server agent nameserver dkim dmarc agentapi api/client intake inventory services publisher publisher/provider/*
	Starts the real parts against each other; nameserver and publisher for the outside service's own zone, dkim and dmarc for the receiver that checks the mail, inventory and services for its fleet.yaml.

floor 6 the command

cmd/postseal: BELOW
	One binary with all faces.

floor test support: no entry names these, so no file but a test can import them

fakedns:
	Answers DNS for tests.
publisher/providertest: publisher publisher/hosted webapi
	The conformance suite that every provider passes. hosted, because it starts stand-ins of hosted APIs and puts its clock into their clients.
mtalog/journaltest:
	Real journals of systemd, which the tests of mtalog and of the agent need alike.
archtest:
	This package.
`

// cones limits what a package may reach through any number of imports, inside the module.
const cones = `
agent: dkim dmarc resolver agentapi authres milter mtalog keystore mailauth fault
	What runs on a mail server. Reading these packages is reading everything of ours that runs there.
api/client: fault
	Other programs link it.
dkim:
	Public.
dmarc:
	Public.
`

// forbiddenNames are names of packages that say nothing about what is inside.
var forbiddenNames = []string{"common", "util", "utils", "tools", "types", "models", "helpers"}
