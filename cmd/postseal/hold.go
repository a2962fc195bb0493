package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// untilReason are the two words of every control.
type untilReason struct{ until, reason string }

func (u *untilReason) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&u.until, "until", "", "until when: 2026-12-24, 2026-12-24T06:00, 2026-12-24T06:00:00Z, or from now: 12h, 3d")
	cmd.Flags().StringVar(&u.reason, "reason", "", "why, for others and the journal (required)")
}

func (u *untilReason) request() (client.HoldRequest, error) {
	if err := needReason(u.reason); err != nil {
		return client.HoldRequest{}, err
	}
	t, err := parseUntil(u.until, time.Now())
	return client.HoldRequest{Until: t, Reason: u.reason}, err
}

func needReason(reason string) error {
	if trimSpace(reason) == "" {
		return fault.New(fault.Invalid, "a reason is needed").WithHint(`--reason "why", for others and the journal`)
	}
	return nil
}

// parseUntil reads a time, in the local zone when it names none, or a duration from now; "" is the zero time.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if d, err := inventory.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d).Truncate(time.Second), nil
	}
	return time.Time{}, fault.New(fault.Invalid, "%q is not a time", text).WithHint("2026-12-24, 2026-12-24T06:00, or from now: 12h, 3d")
}

func newHold() *cobra.Command {
	var r remote
	var u untilReason
	cmd := &cobra.Command{
		Use:   "hold DOMAIN --reason TEXT",
		Short: "Stop planned changes of a domain",
		Long: `Stop planned changes of a domain until a time, or until it is released. Signing goes on; a key whose record turns out wrong is still
replaced by one that works, and a compromised key is still taken out of service. A new hold replaces the one before.`,
		Example: `  postseal hold example.org --until 3d --reason "moving the zone to another host"`,
		Args:    cobra.ExactArgs(1),
	}
	u.add(cmd)
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		request, err := u.request()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s is held%s.", args[0], untilText(request.Until)), c.Hold(cmd.Context(), args[0], request)
	})
}

func newRelease() *cobra.Command {
	var r remote
	cmd := &cobra.Command{Use: "release DOMAIN", Short: "End the hold of a domain", Args: cobra.ExactArgs(1)}
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		return args[0] + " is released.", c.Release(cmd.Context(), args[0])
	})
}

func newFreeze() *cobra.Command {
	var r remote
	var u untilReason
	cmd := &cobra.Command{
		Use:   "freeze --reason TEXT",
		Short: "Stop planned changes of every domain",
		Long:  `Stop planned changes of every domain until a time, or until postseal thaw. It means for all what hold means for one.`,
		Args:  cobra.NoArgs,
	}
	u.add(cmd)
	return act(&r, cmd, func(c *client.Client, _ []string) (string, error) {
		request, err := u.request()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("Everything is frozen%s.", untilText(request.Until)), c.Freeze(cmd.Context(), request)
	})
}

func newThaw() *cobra.Command {
	var r remote
	cmd := &cobra.Command{Use: "thaw", Short: "End the freeze", Args: cobra.NoArgs}
	return act(&r, cmd, func(c *client.Client, _ []string) (string, error) {
		return "The freeze is over.", c.Thaw(cmd.Context())
	})
}

func newWaive() *cobra.Command {
	var r remote
	var u untilReason
	cmd := &cobra.Command{
		Use:   "waive DOMAIN NAMESERVER --until TIME --reason TEXT",
		Short: "Let a silent name server of a domain be ignored for a while",
		Long: `Let a listed name server that does not answer be ignored until a time, at most seven days. One that answers with something else is never
ignored. A server that Postseal has not seen for the domain is refused, once it has seen any. Receivers that ask it may not find a new key: use it only when it is really away.`,
		Example: `  postseal waive example.org ns3.example.net --until 1d --reason "ns3 is being rebuilt"`,
		Args:    cobra.ExactArgs(2),
	}
	u.add(cmd)
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		request, err := u.request()
		if err != nil {
			return "", err
		}
		if request.Until.IsZero() {
			return "", fault.New(fault.Invalid, "a waiver needs an end").WithHint("--until 1d")
		}
		return fmt.Sprintf("%s may be silent about %s%s.", args[1], args[0], untilText(request.Until)),
			c.Waive(cmd.Context(), args[0], client.WaiveRequest{Server: args[1], Until: request.Until, Reason: request.Reason})
	})
}

func newApprove() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "approve DOMAIN SELECTOR STEP",
		Short:   "Say yes to a step that waits for a named person",
		Example: `  postseal approve example.org mx1-2611abcd activate`,
		Args:    cobra.ExactArgs(3),
	}
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		return fmt.Sprintf("The step %q of %s is approved.", args[2], args[1]), c.Approve(cmd.Context(), args[0], args[1], args[2])
	})
}
