package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/server"
)

// defaultData is where the control plane keeps its data when nothing else is said.
const defaultData = "/var/lib/postseal"

func newServe() *cobra.Command {
	var c server.Config
	var level, weak string
	var fetch bool
	var reports reportFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the control plane",
		Long: `Run the control plane: the life of every key, the DNS records, the agents' contract and the API.

A fleet.yaml given with --config is applied once, on the first start; later changes are made with 'postseal apply'.
On first start a token for the local administrator is written to admin.json in the data directory; the other commands
find it there (or in POSTSEAL_URL and POSTSEAL_TOKEN).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return fault.New(fault.Invalid, "--log-level %q is not known", clean(level)).WithHint("it is debug, info, warn or error")
			}
			if cmd.Flags().Changed("poll") && c.Poll < server.MinPoll {
				return fault.New(fault.Invalid, "--poll %s is too short", c.Poll).WithHint("it is %s at least; %s is usual", server.MinPoll, server.DefaultPoll)
			}
			for _, d := range []struct {
				flag string
				is   time.Duration
			}{{"report-every", c.ReportEvery}, {"dns-negative-ttl", c.NegativeTTL}} {
				if d.is < 0 || d.is == 0 && cmd.Flags().Changed(d.flag) {
					return fault.New(fault.Invalid, "--%s %s is no time to wait", d.flag, d.is).WithHint("write a time such as 5m, or leave it out")
				}
			}
			c.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: l}))
			if c.Data == "" {
				c.Data = defaultData
				if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
					c.Data = dir
				}
			}
			if fetch {
				c.Policies = newPolicyFetcher()
			}
			if weak != "" {
				list, err := readWeakKeys(weak)
				if err != nil {
					return err
				}
				c.WeakKeys = list
			}
			if err := reports.complete(&c); err != nil {
				return err
			}
			s, err := server.New(cmd.Context(), c)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "postseal serves %s; the administrator's file is %s; the console is %s\n", s.URL(), s.AdminFile(), s.Console())
			if addr := s.NameserverAddr(); addr != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "the built-in name server answers on %s\n", addr)
			}
			if addr := s.IntakeAddr(); addr != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "reports are taken by SMTP on %s\n", addr)
			}
			return s.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Fleet, "config", "", "fleet.yaml to apply on the first start")
	f.StringVar(&c.Data, "data", "", "data directory (default $STATE_DIRECTORY, else "+defaultData+")")
	f.StringVar(&c.Database, "database", "", "postgres://… for several replicas; default SQLite in the data directory")
	f.StringVar(&c.Listen, "listen", server.DefaultListen, "address of the API and the agents' contract (TLS)")
	f.StringSliceVar(&c.Hosts, "host", nil, "names and addresses by which agents and people reach it; the first is used in URLs (default localhost and this machine's name)")
	f.StringVar(&c.SealingKey, "sealing-key", "", "file with the key that seals the certificate authority (default: made in the data directory)")
	f.StringVar(&c.Programs, "programs", "", "directory of the programs that publishers (exec, zonefile) may run (default "+programs.DefaultDir+"; a relative one is taken from here)")
	f.StringVar(&c.Nameserver, "dns-listen", "", "address of the built-in name server, UDP and TCP; it does not run without")
	f.StringSliceVar(&c.NameserverNames, "dns-name", nil, "NS names of the zones that are delegated to the built-in name server")
	f.StringSliceVar(&c.Secondaries, "dns-secondary", nil, "ADDR:PORT of secondaries: they may transfer its zones and are told of changes (NOTIFY)")
	f.StringSliceVar(&c.TransferTo, "dns-transfer-to", nil, "further addresses or networks that may transfer its zones")
	f.StringVar(&c.TransferKey, "dns-transfer-key", "", "file with the TSIG key of transfers and NOTIFY, as tsig-keygen writes it")
	f.DurationVar(&c.NegativeTTL, "dns-negative-ttl", 0, "how long its negative answers may be cached (default 5m)")
	f.DurationVar(&c.ReportEvery, "report-every", 0, "how often agents report when nothing happens (default 5m)")
	f.DurationVar(&c.Poll, "poll", server.DefaultPoll, "how often due work is looked for; "+server.MinPoll.String()+" at least")
	f.BoolVar(&fetch, "audit-fetch", false, "audits also fetch the domains' MTA-STS policies over HTTPS")
	f.StringVar(&weak, "audit-weak-keys", "", "a file with hashes of known weak keys, for audits (docs/audit.md)")
	reports.add(cmd, &c)
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}
