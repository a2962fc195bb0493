package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postseal/postseal/internal/agent"
	"github.com/postseal/postseal/internal/fault"
)

// defaultAgentConfig is where the systemd unit expects the configuration.
const defaultAgentConfig = "/etc/postseal/agent.yaml"

func newAgent() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Sign mail on this mail server",
		Long: `The agent runs beside a mail server. It makes and keeps this server's DKIM keys, signs outgoing mail as a
milter, and keeps in step with the control plane. Signing goes on when the control plane is away.`,
	}
	cmd.PersistentFlags().StringVar(&config, "config", defaultAgentConfig, "the agent's configuration `FILE`")
	cmd.AddCommand(newAgentJoin(&config), newAgentRun(&config), newAgentStatus(&config), newAgentExplain(&config))
	return cmd
}

func newAgentJoin(config *string) *cobra.Command {
	var tokenFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "join URL",
		Short: "Give this server its identity at a control plane",
		Long: `Give this server its identity at a control plane, by a join token that was made there.

The token is read from --token-file, or asked for without echo. It also names the control plane's authority, so that
no other server can pretend to be it. A server that joins again keeps its name and its keys; its older
certificate is revoked. Run it as the user that the agent runs as.

When agent.yaml names a sealing key file that is not there yet, it is made.`,
		Example: `  postseal agent join https://postseal.example.org:8443 --token-file /root/mx1.token`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := agentConfig(cmd, *config)
			if err != nil {
				return err
			}
			token, err := readToken(cmd, tokenFile)
			if err != nil {
				return err
			}
			sealing, made, err := cfg.JoinSealingKey()
			if err != nil {
				return err
			}
			if made != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "made a sealing key: %s\n", made)
			}
			joined, err := agent.Join(cmd.Context(), cfg, sealing, args[0], token)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), joined)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "joined as %s (%s)\n", cmp.Or(joined.ServerName, joined.ServerID), joined.ServerID)
			return nil
		},
	}
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "read the join token from this `FILE` (mode 0600)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// agentConfig reads agent.yaml. Without the flag a missing file means the defaults.
func agentConfig(cmd *cobra.Command, path string) (agent.Config, error) {
	cfg, err := agent.LoadConfig(path)
	if fault.CodeOf(err) == fault.NotFound && !cmd.Flags().Changed("config") {
		return agent.Config{}, nil
	}
	return cfg, err
}

func readToken(cmd *cobra.Command, file string) (string, error) {
	if file != "" {
		return agent.ReadTokenFile(file)
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return "", fault.New(fault.Invalid, "there is no terminal to ask for the token").WithHint("give it with --token-file FILE")
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Join token: ")
	text, err := term.ReadPassword(stdin)
	fmt.Fprintln(cmd.ErrOrStderr())
	return string(text), err
}

func newAgentRun(config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Sign mail until stopped",
		Long: `Sign mail until stopped (SIGTERM, SIGINT): messages in flight may finish.
SIGHUP reads agent.yaml again; a file with a mistake changes nothing and is complained about.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agent.LoadConfig(*config)
			if err != nil {
				return err
			}
			var level slog.LevelVar
			log := agentLogger(cmd, cfg.Log, &level)
			// What the milter library has to say goes the same way.
			slog.SetDefault(log)
			// Before anything that takes time, because an unexpected SIGHUP ends a process.
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			a, err := agent.New(cfg, agent.Deps{Log: log})
			if err != nil {
				return err
			}
			done := make(chan struct{})
			var reloading sync.WaitGroup
			reloading.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-hangups:
					}
					next, err := agent.LoadConfig(*config)
					if err == nil {
						err = a.Reload(cmd.Context(), next)
					}
					if err != nil {
						message, hint := fault.Show(err)
						log.Error("the configuration is not taken; the old one stays in force", "error", message, "hint", hint)
						continue
					}
					level.Set(logLevel(next.Log.Level))
				}
			})
			reloading.Go(func() {
				select {
				case <-done:
				case <-a.Ready():
					settle(done)
				}
			})
			err = a.Run(cmd.Context())
			close(done)
			reloading.Wait()
			return err
		},
	}
}

func agentLogger(cmd *cobra.Command, cfg agent.Log, level *slog.LevelVar) *slog.Logger {
	level.Set(logLevel(cfg.Level))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
}

func logLevel(word string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(cmp.Or(word, "info"))) != nil {
		return slog.LevelInfo
	}
	return l
}
