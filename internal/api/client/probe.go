package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Probe is a message that proves a path.
type Probe struct {
	Probe     string    `json:"probe"`
	Domain    string    `json:"domain"`
	Signer    string    `json:"signer" doc:"server or service"`
	Kind      string    `json:"kind" enum:"server,service"`
	State     string    `json:"state" enum:"asked,submitted,arrived,refused,lost"`
	Why       string    `json:"why" enum:"person,schedule,rotation"`
	By        string    `json:"by,omitempty"`
	Wanted    []string  `json:"wanted" doc:"selectors that signed for the path when it was asked for"`
	Asked     time.Time `json:"asked"`
	Submitted time.Time `json:"submitted,omitzero" doc:"the MTA took it"`
	Reply     string    `json:"reply,omitempty" doc:"what the MTA answered, or why nothing was sent"`
	NotSetUp  bool      `json:"not_set_up,omitempty" doc:"the agent has no way to submit probes"`
	Ended     time.Time `json:"ended,omitzero"`
	Deadline  time.Time `json:"deadline,omitzero" doc:"when it counts as lost"`
	// Good is false until it arrived, and when what arrived is not as it should be.
	Good    bool          `json:"good"`
	Verdict *ProbeVerdict `json:"verdict,omitempty"`
	Mail    *ProbeMail    `json:"mail,omitempty"`
	// Address is where the message goes; it is said once, to who asks for the probe of a service.
	Address string `json:"address,omitempty"`
}

// ProbeVerdict is what arrived, judged.
type ProbeVerdict struct {
	Outcome  string   `json:"outcome" enum:"passed,other_selector,not_aligned,not_signed,body_changed,header_changed,no_key,bad_signature,not_checked,other_author"`
	Sentence string   `json:"sentence"`
	Fix      string   `json:"fix,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Proven   []string `json:"proven,omitempty" doc:"selectors whose signatures verified and are aligned"`
}

// ProbeMail is what was seen of the mail.
type ProbeMail struct {
	At           time.Time        `json:"at"`
	Peer         string           `json:"peer,omitempty"`
	HELO         string           `json:"helo,omitempty"`
	EnvelopeFrom string           `json:"envelope_from,omitempty"`
	From         string           `json:"from" doc:"domain of the author"`
	Subject      string           `json:"subject,omitempty"`
	Hops         int              `json:"hops" doc:"Received fields"`
	Signatures   []ProbeSignature `json:"signatures"`
	SPF          string           `json:"spf,omitempty"`
	SPFDomain    string           `json:"spf_domain,omitempty"`
	SPFAligned   bool             `json:"spf_aligned,omitempty"`
	DMARC        string           `json:"dmarc,omitempty"`
	DMARCPolicy  string           `json:"dmarc_policy,omitempty"`
}

// ProbeSignature is one DKIM-Signature field of the mail.
type ProbeSignature struct {
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm,omitempty"`
	Result    string `json:"result"`
	Reason    string `json:"reason,omitempty"`
	Aligned   bool   `json:"aligned"`
}

// Probes is a list of probes, newest first.
type Probes struct {
	Now     time.Time `json:"now" doc:"database time"`
	Address string    `json:"address,omitempty" doc:"where probes go, without a token; missing = there are none"`
	Probes  []Probe   `json:"probes"`
}

// ProbeShow is one probe.
type ProbeShow struct {
	Now time.Time `json:"now" doc:"database time"`
	Probe
}

// ProbeAsk asks for probes: of one server, or of one service.
type ProbeAsk struct {
	Server  string `json:"server,omitempty" maxLength:"255"`
	Service string `json:"service,omitempty" maxLength:"255"`
	Domain  string `json:"domain,omitempty" maxLength:"255" doc:"missing = every domain that the server signs for"`
}

// ProbeFilter selects probes.
type ProbeFilter struct {
	Domain, Signer, State string // "" = all
	Newest                bool   // only the newest of each path
	Limit                 int    // 0 = the server's default
}

// Probes returns probes, newest first.
func (c *Client) Probes(ctx context.Context, f ProbeFilter) (Probes, error) {
	q := url.Values{}
	for name, value := range map[string]string{"domain": f.Domain, "signer": f.Signer, "state": f.State} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Newest {
		q.Set("newest", "true")
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var out Probes
	return out, c.get(ctx, place("probes"), q, &out)
}

// Probe returns one probe.
func (c *Client) Probe(ctx context.Context, id string) (ProbeShow, error) {
	var out ProbeShow
	return out, c.get(ctx, place("probes", id), nil, &out)
}

// AskProbes asks for new probes and returns them.
func (c *Client) AskProbes(ctx context.Context, ask ProbeAsk) (Probes, error) {
	var out Probes
	return out, c.post(ctx, place("probes"), ask, &out)
}
