package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"

	"github.com/postseal/postseal/internal/agentapi"
)

// savedFacts is facts.json: facts, and what is known of each key by its id.
type savedFacts struct {
	facts
	Keys map[string]savedKeyFacts `json:"keys"`
}

// savedKeyFacts is what must survive of a key. Sums are the first 128 bits of SHA-256.
type savedKeyFacts struct {
	Own       recordSum `json:"own,omitzero"`       // of the TXT value of its public half: it was made here
	Checked   recordSum `json:"checked,omitzero"`   // of owner name and Own: our resolver has shown the record there
	Destroyed bool      `json:"destroyed,omitzero"` // as long as instructions name it
}

// MarshalText is the sum in base64.
func (s recordSum) MarshalText() ([]byte, error) {
	return base64.RawStdEncoding.AppendEncode(nil, s[:]), nil
}

// parse reads what MarshalText wrote; anything else is no sum.
func (s *recordSum) parse(text []byte) {
	var b [20]byte
	if n, err := base64.RawStdEncoding.Decode(b[:], text[:min(len(text), base64.RawStdEncoding.EncodedLen(len(s))+1)]); err == nil && n == len(s) {
		copy(s[:], b[:n])
	}
}

func (a *Agent) saveFacts() error {
	f := &a.fleet
	f.mu.Lock()
	saved := savedFacts{facts: f.facts, Keys: make(map[string]savedKeyFacts, len(f.keys))}
	for id, k := range f.keys {
		s := savedKeyFacts{Own: k.own, Destroyed: k.destroyed}
		switch {
		case k.checked:
			s.Checked = k.own.checkedAs(k.name())
		case k.rare().checkedName != "":
			s.Checked = k.own.checkedAs(k.more.checkedName)
		}
		if s != (savedKeyFacts{}) {
			saved.Keys[id] = s
		}
	}
	for id, own := range f.lost {
		saved.Keys[id] = savedKeyFacts{Own: own}
	}
	f.mu.Unlock()
	return replaceState(a.settings.Load().StateDirectory, fileFacts, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(saved)
	})
}

// readFacts reads facts.json: public halves into the keys that are there, or into lost. What makes sense only once instructions name the
// keys is returned for remember. It also understands the form that held whole records, which the first versions wrote.
func (f *fleetState) readFacts(dir string) (later map[string]savedKeyFacts, err error) {
	later = map[string]savedKeyFacts{}
	_, err = streamState(dir, fileFacts, func(j *jsonReader) {
		j.object(func(name []byte) {
			switch string(name) {
			case "installation":
				f.facts.Installation = j.string()
			case "epoch":
				f.facts.Epoch = j.int()
			case "joined":
				j.raw(&f.facts.Joined)
			case "keys":
				j.object(func(id []byte) { f.learn(later, string(id), func(s *savedKeyFacts) { readKeyFacts(j, s) }) })
			case "records":
				j.object(func(id []byte) { f.learn(later, string(id), func(s *savedKeyFacts) { s.Own = sumOf(j.string()) }) })
			case "checked":
				j.object(func(id []byte) {
					f.learn(later, string(id), func(s *savedKeyFacts) {
						owner, record, _ := bytes.Cut(j.octets(), []byte{' '})
						s.Checked = sumOf(string(record)).checkedAs(string(owner))
					})
				})
			case "destroyed":
				j.object(func(id []byte) { f.learn(later, string(id), func(s *savedKeyFacts) { s.Destroyed = j.bool() }) })
			default:
				j.skip()
			}
		})
	})
	if err != nil {
		f.facts = facts{}
	}
	return later, err
}

func readKeyFacts(j *jsonReader, s *savedKeyFacts) {
	j.object(func(name []byte) {
		switch string(name) {
		case "own":
			s.Own.parse(j.octets())
		case "checked":
			s.Checked.parse(j.octets())
		case "destroyed":
			s.Destroyed = j.bool()
		default:
			j.skip()
		}
	})
}

// learn reads what is known of a key.
func (f *fleetState) learn(later map[string]savedKeyFacts, id string, read func(*savedKeyFacts)) {
	var s savedKeyFacts
	read(&s)
	if k := f.keys[id]; k != nil && s.Own.known() {
		k.own = s.Own
	} else if s.Own.known() {
		f.lost[id] = s.Own
	}
	if s.Own = (recordSum{}); s != (savedKeyFacts{}) {
		was := later[id]
		if !s.Checked.known() {
			s.Checked = was.Checked
		}
		s.Destroyed = s.Destroyed || was.Destroyed
		later[id] = s
	}
}

// remember takes what readFacts left for later.
func (f *fleetState) remember(later map[string]savedKeyFacts) {
	for id, s := range later {
		if k := f.keys[id]; k != nil {
			k.destroyed = s.Destroyed
			k.checked = k.named() && k.own.known() && s.Checked.known() && s.Checked == k.own.checkedAs(k.name())
		}
	}
}

// writeInstructions keeps instructions for the next start, as the control plane sent them.
func writeInstructions(dir string, in agentapi.Instructions) error {
	assignments := in.Assignments
	in.Assignments = nil
	return replaceState(dir, fileInstructions, func(w io.Writer) error {
		head, err := json.Marshal(instructionsHead{in.Version, in.Installation, in.Epoch, in.ReportSeconds, takeProbes(in.Probes)})
		if err != nil {
			return err
		}
		// The head's own end is written last.
		if _, err = w.Write(append(head[:len(head)-1], `,"assignments":[`...)); err != nil {
			return err
		}
		for i := range assignments {
			text, err := json.Marshal(&assignments[i])
			if i > 0 {
				text = slices.Insert(text, 0, ',')
			}
			if err == nil {
				_, err = w.Write(append(text, '\n'))
			}
			if err != nil {
				return err
			}
		}
		_, err = io.WriteString(w, "]}\n")
		return err
	})
}

// instructionsHead is agentapi.Instructions without the assignments.
type instructionsHead struct {
	Version       int64  `json:"version"`
	Installation  string `json:"installation"`
	Epoch         int64  `json:"epoch"`
	ReportSeconds int    `json:"report_seconds"`
	// Probes are kept, because after a restart the control plane does not say again what the agent has.
	Probes []agentapi.ProbeOrder `json:"probes,omitempty"`
}

// readInstructions puts the last instructions in force again; ok is false when there are none.
func (f *fleetState) readInstructions(dir string) (ok bool, err error) {
	var in agentapi.Instructions
	var alike words
	ok, err = streamState(dir, fileInstructions, func(j *jsonReader) {
		j.object(func(name []byte) {
			switch string(name) {
			case "version":
				in.Version = j.int()
			case "installation":
				in.Installation = j.string()
			case "epoch":
				in.Epoch = j.int()
			case "report_seconds":
				in.ReportSeconds = int(j.int())
			case "probes":
				j.raw(&in.Probes)
			case "assignments":
				f.want(func(yield func(agentapi.Assignment) bool) {
					j.array(func() {
						// After an error there is no whole assignment any more.
						if as := readAssignment(j, &alike); j.err == nil {
							yield(as)
						}
					})
				})
			default:
				j.skip()
			}
		})
	})
	if err != nil {
		f.want(func(func(agentapi.Assignment) bool) {})
		return false, err
	}
	f.head(&in)
	f.have = ok
	return ok, nil
}

func readAssignment(j *jsonReader, alike *words) (as agentapi.Assignment) {
	j.object(func(name []byte) {
		switch string(name) {
		case "id":
			as.ID = j.string()
		case "domain":
			as.Domain = j.string()
		case "stream":
			as.Stream = alike.read(j)
		case "no_key":
			as.NoKey = agentapi.NoKey(alike.read(j))
		case "bulk":
			as.Bulk = j.bool()
		case "subdomains":
			as.Subdomains = j.bool()
		case "signing":
			j.raw(&as.Signing)
		case "keys":
			j.array(func() { as.Keys = append(as.Keys, readKey(j, alike)) })
		default:
			j.skip()
		}
	})
	return as
}

func readKey(j *jsonReader, alike *words) (key agentapi.Key) {
	j.object(func(name []byte) {
		switch string(name) {
		case "id":
			key.ID = j.string()
		case "selector":
			key.Selector = alike.read(j)
		case "algorithm":
			key.Algorithm = alike.read(j)
		case "want":
			key.Want = agentapi.Want(alike.read(j))
		case "rank":
			key.Rank = int(j.int())
		case "record":
			key.Record = j.string()
		case "canary":
			key.Canary = j.string()
		default:
			j.skip()
		}
	})
	return key
}
