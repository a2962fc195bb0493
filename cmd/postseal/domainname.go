package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// domainName reads a domain from a flag or an argument.
func domainName(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", fault.New(fault.Invalid, "no domain was named").WithHint("a domain such as example.com is wanted")
	}
	name, err := inventory.DomainName(text)
	if err != nil {
		return "", fault.New(fault.Invalid, "%q is no domain for mail: it %v", clean(shortened(text)), err)
	}
	return name, nil
}

// shortened is the beginning of what somebody typed.
func shortened(text string) string {
	if len(text) <= maxShownName {
		return text
	}
	return strings.ToValidUTF8(text[:maxShownName], "") + "…"
}

// maxShownName is how much of a wrong name is repeated: the longest name in DNS has no more (RFC 1035 §2.3.4).
const maxShownName = 253

// domainArguments has every command whose first argument is DOMAIN take nothing else for one.
func domainArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		domainArguments(sub)
	}
	if !takesDomain(cmd) || cmd.RunE == nil {
		return
	}
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for i := range args {
			name, err := domainName(args[i])
			if err != nil {
				return err
			}
			args[i] = name
			if !strings.HasSuffix(cmd.Use, "…") {
				break // what follows is something else
			}
		}
		return inner(cmd, args)
	}
}

// takesDomain reports whether the first argument of a command is a domain.
func takesDomain(cmd *cobra.Command) bool {
	words := strings.Fields(strings.ReplaceAll(cmd.Use, "[-f fleet.yaml]", ""))
	return len(words) > 1 && strings.Trim(words[1], "[]") == "DOMAIN"
}
