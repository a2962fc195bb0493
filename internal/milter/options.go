package milter

import (
	"encoding/binary"
	"fmt"
)

// Versions of the protocol.
const (
	oldestVersion = 2
	newestVersion = 6
)

// Actions are what a filter may do to a message (SMFIF_ of libmilter).
type Actions uint32

// The actions that this package has.
const (
	ActAddHeader    Actions = 1 << 0 // InsertHeader too
	ActChangeHeader Actions = 1 << 4
	ActQuarantine   Actions = 1 << 5

	actSetMacros Actions = 1 << 8
)

// Protocol are the events that a filter does without, and the replies that the MTA need not wait for (SMFIP_ of libmilter).
type Protocol uint32

// The options that this package has.
const (
	NoConnect      Protocol = 1 << 0
	NoHelo         Protocol = 1 << 1
	NoRcpt         Protocol = 1 << 3
	NoBody         Protocol = 1 << 4
	NoUnknown      Protocol = 1 << 8
	NoData         Protocol = 1 << 9
	Skip           Protocol = 1 << 10 // SkipBody is understood
	NoHeaderReply  Protocol = 1 << 7
	NoConnectReply Protocol = 1 << 12
	NoHeloReply    Protocol = 1 << 13
	NoMailReply    Protocol = 1 << 14
	NoEOHReply     Protocol = 1 << 18
	NoBodyReply    Protocol = 1 << 19
	LeadingSpace   Protocol = 1 << 20 // header values come, and go, with the blank after the colon

	noRcptReply    Protocol = 1 << 15
	noDataReply    Protocol = 1 << 16
	noUnknownReply Protocol = 1 << 17
)

// Stage is a point of an SMTP session at which the MTA sends macros.
type Stage uint8

// The stages, as the protocol numbers them.
const (
	StageConnect Stage = iota
	StageHelo
	StageMail
	StageRcpt
	StageData
	StageEOM
	StageEOH
	stages
)

// Options are what a server asks of the MTAs that connect. What an MTA does not offer it does not get.
type Options struct {
	Actions  Actions
	Protocol Protocol
	Macros   map[Stage][]string // "{daemon_name}", "j"; without a stage the MTA sends what it likes
}

// negotiate reads the MTA's offer and appends our answer to out.
func (s *Session) negotiate(offer, out []byte) ([]byte, error) {
	if len(offer) < 12 {
		return out, errFrame
	}
	version := binary.BigEndian.Uint32(offer)
	if version < oldestVersion {
		return out, fmt.Errorf("the MTA speaks version %d of the milter protocol", version)
	}
	want := s.options
	if len(want.Macros) > 0 {
		want.Actions |= actSetMacros
	}
	s.version = min(version, newestVersion)
	s.actions = Actions(binary.BigEndian.Uint32(offer[4:])) & want.Actions
	s.protocol = Protocol(binary.BigEndian.Uint32(offer[8:])) & want.Protocol

	at := len(out)
	out = append(out, 0, 0, 0, 0, 'O')
	out = binary.BigEndian.AppendUint32(out, s.version)
	out = binary.BigEndian.AppendUint32(out, uint32(s.actions))
	out = binary.BigEndian.AppendUint32(out, uint32(s.protocol))
	if s.actions&actSetMacros != 0 {
		for stage := range stages {
			names := want.Macros[stage]
			if len(names) == 0 {
				continue
			}
			out = binary.BigEndian.AppendUint32(out, uint32(stage))
			for i, name := range names {
				if i > 0 {
					out = append(out, ' ')
				}
				out = append(out, name...)
			}
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint32(out[at:], uint32(len(out)-at-4))
	return out, nil
}
