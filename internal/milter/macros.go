package milter

import "bytes"

// macros keeps what the MTA said at each stage, as it came: names and values ended by NUL.
type macros struct {
	said  [stages][]byte
	fresh [stages]bool // since the stage's last command
}

// stageOf is the stage of a command's macros; ok is false for commands that have none.
func stageOf(command byte) (Stage, bool) {
	switch command {
	case 'C':
		return StageConnect, true
	case 'H':
		return StageHelo, true
	case 'M':
		return StageMail, true
	case 'R':
		return StageRcpt, true
	case 'T':
		return StageData, true
	case 'L', 'N':
		return StageEOH, true
	case 'B', 'E':
		return StageEOM, true
	}
	return 0, false
}

// set keeps the macros of a stage. More than the limit is left out: a macro is advice, not content.
func (m *macros) set(stage Stage, list []byte) {
	if len(list) > maxMacros {
		list = list[:bytes.LastIndexByte(list[:maxMacros], 0)+1]
	}
	m.said[stage] = append(m.said[stage][:0], list...)
	m.fresh[stage] = true
}

// begin is called with a stage's command: what was said later in the session before belongs to something else, and so does what
// was said at this stage, unless it came just now. An MTA that has nothing to say sends nothing.
func (m *macros) begin(stage Stage) {
	if !m.fresh[stage] {
		m.said[stage] = m.said[stage][:0]
	}
	m.fresh[stage] = false
	m.forgetFrom(stage + 1)
}

// forgetFrom drops what was said at a stage and after it.
func (m *macros) forgetFrom(stage Stage) {
	for ; stage < stages; stage++ {
		m.said[stage], m.fresh[stage] = m.said[stage][:0], false
	}
}

// get looks for a macro, at the latest stage first.
func (m *macros) get(name string) []byte {
	for _, stage := range [...]Stage{StageEOM, StageEOH, StageData, StageRcpt, StageMail, StageHelo, StageConnect} {
		for rest := m.said[stage]; len(rest) > 0; {
			var key, value []byte
			key, rest = cString(rest)
			value, rest = cString(rest)
			if string(key) == name {
				return value
			}
		}
	}
	return nil
}

// cString cuts a text that ends with NUL, or at the end, off a frame.
func cString(b []byte) (text, rest []byte) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}
