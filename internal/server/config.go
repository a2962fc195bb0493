package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/intake"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

// Config is what a person can set on the command line. Everything about the fleet is in the inventory.
type Config struct {
	// Data is the directory of the database, the sealed certificate authority and the administrator's file.
	Data string
	// Database is "postgres://…", or "" for SQLite in Data.
	Database string
	// Listen is where the API and the agents' contract are served, over TLS.
	Listen string
	// Hosts are the names and addresses in the listener's certificate: what agents and people call the control plane.
	Hosts []string
	// SealingKey is a file with the key that seals the certificate authority; "" = one is made in Data on first start.
	SealingKey string
	// Fleet is a fleet.yaml that is applied when the inventory is empty, and never again.
	Fleet string
	// Programs is the directory of the programs that publishers of the kinds exec and zonefile may run; "" = programs.DefaultDir.
	Programs string
	// Nameserver is where the built-in name server listens, UDP and TCP; "" = it does not run.
	Nameserver string
	// NameserverNames are the NS names of zones that are delegated to it.
	NameserverNames []string
	// Secondaries are "ADDR" or "ADDR:PORT" of servers that get its zones by transfer and are told of changes.
	Secondaries []string
	// TransferTo are further networks ("192.0.2.0/24") that may transfer its zones.
	TransferTo []string
	// TransferKey is a file with the TSIG key of transfers and NOTIFY, in BIND's format; "" = addresses alone decide.
	TransferKey string
	// NegativeTTL is how long its negative answers may be cached; 0 = the name server's default.
	NegativeTTL time.Duration
	// Poll is how often due work is looked for when nothing announces it; 0 = the default.
	Poll time.Duration
	// ReportEvery is how often agents report when nothing happens; 0 = the default.
	ReportEvery time.Duration
	// Policies gets MTA-STS policies for audits; nil = they are not looked at.
	Policies audit.PolicyFetcher
	// WeakKeys are known weak keys that audits look for; nil = none are known.
	WeakKeys audit.WeakKeys
	// Intake is how reports and probes get in; the zero value = by hand only.
	Intake intake.Config
	// ReportAddresses are taken besides those that the policies of the inventory name.
	ReportAddresses []string
	// Postmaster is with what account Google Postmaster Tools are asked; no Credential = they are not.
	Postmaster postmaster.Options
	// Retention is how long reports are kept; zero = DefaultRetention.
	Retention Retention
	// DiagnoseAfter is how long after a report what it means is found out; 0 = the default.
	DiagnoseAfter time.Duration
	Logger        *slog.Logger
}

const (
	// DefaultListen is loopback until a person decides otherwise.
	DefaultListen = "127.0.0.1:8443"
	// DefaultPoll is how often due work is looked for: one indexed query.
	DefaultPoll = time.Second
	// MinPoll is how often it may be: more would be a busy loop on the database and find nothing sooner, because changes announce themselves.
	MinPoll = 10 * time.Millisecond
)

func (c *Config) complete() error {
	if c.Data == "" {
		return fault.New(fault.Invalid, "no data directory is named").WithHint("pass --data DIR")
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the data directory %s cannot be made", c.Data)
	}
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"localhost", "127.0.0.1", "::1"}
		if name, err := os.Hostname(); err == nil {
			c.Hosts = append(c.Hosts, name)
		}
	}
	if c.SealingKey == "" {
		c.SealingKey = filepath.Join(c.Data, "ca.sealing-key")
	}
	if c.Retention == (Retention{}) {
		c.Retention = DefaultRetention()
	}
	if c.DiagnoseAfter <= 0 {
		c.DiagnoseAfter = diagnoseAfter
	}
	switch {
	case c.Poll == 0:
		c.Poll = DefaultPoll
	case c.Poll < MinPoll:
		return fault.New(fault.Invalid, "due work cannot be looked for every %s", c.Poll).WithHint("--poll is %s at least; %s is usual", MinPoll, DefaultPoll)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
