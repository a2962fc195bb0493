package agent

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
)

// fleetState is what the control plane wants and what came of it. Messages never touch it: they read the Table made from it.
type fleetState struct {
	mu      sync.Mutex
	have    bool // instructions are there
	wanted  wishes
	applied int64 // version of the table in force
	keys    map[string]*keyState
	lost    map[string]recordSum // keys that were made here, are not here any more, and no instruction names
	facts   facts

	canaryFrom string            // key whose canary is next in turn
	conditions map[string]string // what a person should know: stable word → sentence
	contact    time.Time         // last time the control plane answered
	trouble    string            // why it does not
}

// wishes are instructions as they are kept: without texts that are long or the same everywhere, because there may be a hundred thousand.
type wishes struct {
	Version       int64
	Installation  string
	Epoch         int64
	ReportSeconds int
	Assignments   []*assignment
	Probes        []agentapi.ProbeOrder // never changed, only replaced
}

// assignment is one permission to sign.
type assignment struct {
	Domain, Stream   string
	tempfail         bool // agentapi.NoKeyTempfail
	Bulk, Subdomains bool
	how              *dkim.Signing // without domain, selector and key; most share one
	trouble          *string       // why it cannot be met; nil when it can
	// unsafe: it is how it would sign that cannot be met. It stays in the table without a key: its mail goes the way of no_key, and
	// not that of an assignment above it.
	unsafe bool
	keys   []*keyState // those that it is the first to name
}

// problem is the sentence for people.
func (as *assignment) problem() string {
	if as.trouble == nil {
		return ""
	}
	return *as.trouble
}

// noKey is what becomes of mail that it cannot sign.
func (as *assignment) noKey() agentapi.NoKey {
	if as.tempfail {
		return agentapi.NoKeyTempfail
	}
	return agentapi.NoKeyPass
}

// recordSum stands for the TXT value of a public half, which has some 400 octets; zero when there is none.
type recordSum [16]byte

func sumOf(record string) (sum recordSum) {
	if record != "" {
		full := sha256.Sum256([]byte(record))
		copy(sum[:], full[:])
	}
	return sum
}

func (s recordSum) known() bool { return s != recordSum{} }

// checkedAs is the sum of an owner name with a record that was seen there.
func (s recordSum) checkedAs(name string) recordSum {
	return sumOf(name + " " + string(s[:]))
}

// keyState is one key: what is wanted and what is. There may be a hundred thousand, so what hardly any has is in keyTrouble.
type keyState struct {
	id         string
	assignment *assignment // nil when no instruction names it
	key        keyWish

	own   recordSum // of its public half
	known bool      // the control plane has a record for it: own, unless keyTrouble says otherwise

	has       bool // the private key is here, and opens as far as was seen
	looked    bool // its file was opened since the start
	checked   bool // our resolver has shown its record
	lost      bool // trying to make it again is no way out
	stuck     bool // it could not be destroyed; to be tried again after a while
	destroyed bool

	held keystore.Handle // what is in memory of it serves every table
	more *keyTrouble     // nil when there is nothing of this
}

// keyWish is agentapi.Key as it is kept. Its zero value wants nothing.
type keyWish struct {
	Selector        string
	Rank            int32
	want, algorithm uint8
}

// keyTrouble is what a key that signs and is well has none of.
type keyTrouble struct {
	refused string    // why the wish itself cannot be met
	failure string    // why it cannot be made, opened or destroyed
	record  string    // TXT value of its public half, until the control plane knows it
	other   recordSum // of what the control plane takes for its public half, when that is not known to be own

	checkedName  string // where its record was seen, while no instruction names it
	checkProblem string // why its record is not right yet
	checkTries   int
	checkNext    time.Time

	canaryWanted  string // nonce
	canaryNonce   string
	canary        []byte
	canaryProblem string // why there is none
}

// rare returns what most keys have none of, for reading.
func (k *keyState) rare() keyTrouble {
	if k.more == nil {
		return keyTrouble{}
	}
	return *k.more
}

// note returns it for writing.
func (k *keyState) note() *keyTrouble {
	if k.more == nil {
		k.more = new(keyTrouble)
	}
	return k.more
}

// fail notes why a key cannot be used, "" that it can.
func (k *keyState) fail(why string) {
	if why != "" || k.more != nil {
		k.note().failure = why
	}
}

// tidy lets go of notes that say nothing.
func (k *keyState) tidy() {
	if m := k.more; m != nil && m.refused == "" && !m.other.known() && m.failure == "" && m.record == "" && m.checkedName == "" && m.checkProblem == "" && m.checkTries == 0 && m.canaryWanted == "" && m.canaryNonce == "" {
		k.more = nil
	}
}

func (k *keyState) named() bool { return k.assignment != nil }

// wishWords and algorithmWords are what a keyWish can hold; the first of each is nothing.
var (
	wishWords      = [...]agentapi.Want{"", agentapi.WantHold, agentapi.WantSign, agentapi.WantStop, agentapi.WantDestroy}
	algorithmWords = [...]string{"", string(dkim.RSA2048), string(dkim.RSA3072), string(dkim.RSA4096), string(dkim.Ed25519)}
)

// wishOf keeps what an instruction says of a key; words that are not known here are nothing, and refused by validKey.
func wishOf(key *agentapi.Key) keyWish {
	return keyWish{
		Selector: key.Selector, Rank: int32(min(max(key.Rank, math.MinInt32), math.MaxInt32)),
		want: uint8(max(0, slices.Index(wishWords[:], key.Want))), algorithm: uint8(max(0, slices.Index(algorithmWords[:], key.Algorithm))),
	}
}

func (w keyWish) Want() agentapi.Want { return wishWords[w.want] }
func (w keyWish) Algorithm() string   { return algorithmWords[w.algorithm] }

// name is the owner name of the key's record.
func (k *keyState) name() string { return k.nameIn(k.assignment) }

func (k *keyState) nameIn(as *assignment) string { return k.key.Selector + "._domainkey." + as.Domain }

// problem is the sentence for the report.
func (k *keyState) problem() string {
	if k.otherRecord() {
		return "the control plane expects another public half under this id"
	}
	r := k.rare()
	return cmp.Or(r.refused, r.failure, r.canaryProblem, r.checkProblem)
}

// otherRecord reports whether the control plane takes this key for another one, so that its record is not this key's.
func (k *keyState) otherRecord() bool {
	return k.named() && k.known && k.own.known() && k.rare().other.known()
}

// setOwn takes the sum of the public half.
func (k *keyState) setOwn(sum recordSum) {
	wanted := k.wanted()
	k.own = sum
	k.setWanted(wanted)
}

// wanted is the sum of what the control plane takes for its public half.
func (k *keyState) wanted() recordSum {
	if other := k.rare().other; !k.known || other.known() {
		return other
	}
	return k.own
}

func (k *keyState) setWanted(sum recordSum) {
	k.known = sum.known()
	if sum == k.own {
		sum = recordSum{}
	}
	if sum.known() || k.more != nil {
		k.note().other = sum
	}
}

// Conditions: stable words for `agent status`.
const (
	conditionInstallation = "other_installation"
	conditionEpoch        = "old_epoch"
	conditionIdentity     = "identity"
	conditionState        = "state"
	conditionDisk         = "disk"
	conditionNoContact    = "no_contact"
	conditionReport       = "report_refused"
	conditionListener     = "listener"
	conditionMTALog       = "mta_log"
)

// condition sets or, with an empty sentence, clears a condition.
func (f *fleetState) condition(word, sentence string) {
	if sentence == "" {
		delete(f.conditions, word)
		return
	}
	f.conditions[word] = sentence
}

func (a *Agent) setCondition(word, sentence string) {
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	a.fleet.condition(word, sentence)
}

// acceptable refuses instructions of another installation or of an older epoch than was seen: a second control plane, or one that
// was restored from an old backup, must not stop this server from signing.
func (f *fleetState) acceptable(in *agentapi.Instructions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.condition(conditionInstallation, "")
	f.condition(conditionEpoch, "")
	switch {
	case f.facts.Installation != "" && in.Installation != f.facts.Installation:
		f.condition(conditionInstallation, fmt.Sprintf("the control plane is installation %q, this agent belongs to %q: its instructions are not followed", in.Installation, f.facts.Installation))
		return fault.New(fault.Denied, "%s", f.conditions[conditionInstallation]).WithHint("join again if the move is meant: postseal agent join")
	case in.Epoch < f.facts.Epoch:
		f.condition(conditionEpoch, fmt.Sprintf("the control plane is at epoch %d, this agent has seen epoch %d: its instructions are not followed", in.Epoch, f.facts.Epoch))
		return fault.New(fault.Denied, "%s", f.conditions[conditionEpoch]).WithHint("the control plane was restored from an old backup; rebuild its ownership there")
	}
	return nil
}

// errorText is what an error says to people, "" for none.
// causeOf is what the system says of an error, in its words where it is the system's.
func causeOf(err error) string {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e.Error()
	}
	return errorText(err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	message, _ := fault.Show(err)
	return message
}
