package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postseal/postseal/internal/fault"
)

// maxQuoted is how much of a wrong flag is repeated: it may be a value, and that a private key.
const maxQuoted = 24

// quotedFlag is what somebody typed, as far as it is repeated.
func quotedFlag(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return clean(text)
}

// flagError says what is wrong with the flags, in our words and without repeating all of them.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var without *pflag.ValueRequiredError
	switch {
	case errors.As(err, &value):
		return fault.Wrap(fault.Invalid, err, "--%s: %q is not %s", value.GetFlag().Name, quotedFlag(value.GetValue()), wanted(value.GetFlag())).WithHint("%s --help explains it", cmd.CommandPath())
	case errors.As(err, &without):
		return fault.Wrap(fault.Invalid, err, "--%s needs a value", without.GetFlag().Name).WithHint("%s --help explains it", cmd.CommandPath())
	case errors.As(err, &unknown):
		name, short := unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()
		if short != "" || strings.HasPrefix(name, "-") || len(name) > maxQuoted {
			return fault.Wrap(fault.Invalid, err, "%q is no flag of %s", quotedFlag("-"+strings.TrimPrefix(firstOf(short, "-"+name), "-")), cmd.CommandPath()).
				WithHint("a value that begins with a dash stands behind --, or comes from standard input; %s --help lists the flags", cmd.CommandPath())
		}
		f := fault.Wrap(fault.Invalid, err, "there is no flag --%s", quotedFlag(name))
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if close := fault.Nearest(name, names); close != "" {
			return f.WithHint("did you mean --%s?", close)
		}
		return f.WithHint("%s --help lists them", cmd.CommandPath())
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	if what, rest, ok := strings.Cut(text, ": "); ok {
		if what == "bad flag syntax" {
			return fault.Wrap(fault.Invalid, err, "%q is no flag of %s", quotedFlag(rest), cmd.CommandPath()).
				WithHint("a value that begins with a dash stands behind --, or comes from standard input; %s --help lists the flags", cmd.CommandPath())
		}
		text = what + ": " + quotedFlag(rest)
	}
	return fault.Wrap(fault.Invalid, err, "%s", text).WithHint("%s --help lists the flags", cmd.CommandPath())
}

// wanted says what a flag takes.
func wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "a time such as 30s, 5m or 36h"
	case "int", "int32", "int64", "uint", "uint16", "uint32", "uint64", "count":
		return "a whole number"
	}
	return "a value that it takes"
}

// exclusive is cobra's sentence about flags that exclude each other; together, about flags that belong together.
var (
	exclusive = regexp.MustCompile(`^if any flags in the group \[[^\]]*\] are set none of the others can be; \[([^\]]*)\] were all set$`)
	together  = regexp.MustCompile(`^if any flags in the group \[([^\]]*)\] are set they must all be set; missing \[([^\]]*)\]$`)
	required  = regexp.MustCompile(`^required flag\(s\) (.*) not set$`)
	// arguments is its sentence about how many arguments there are.
	arguments = regexp.MustCompile(`^(?:accepts|requires) (.*) arg\(s\), (?:only )?received (\d+)$`)
)

// flagGroups puts what cobra says of several flags into our words.
func flagGroups(err error) error {
	flags := func(names string) string {
		var list []string
		for _, n := range strings.Fields(strings.NewReplacer(",", " ", `"`, "").Replace(names)) {
			list = append(list, "--"+n)
		}
		return strings.Join(list, " and ")
	}
	text := err.Error()
	if m := exclusive.FindStringSubmatch(text); m != nil {
		return fault.Wrap(fault.Invalid, err, "%s exclude each other", flags(m[1])).WithHint("leave one of them out")
	}
	if m := together.FindStringSubmatch(text); m != nil {
		return fault.Wrap(fault.Invalid, err, "%s belong together", flags(m[1])).WithHint("%s is missing", flags(m[2]))
	}
	if m := required.FindStringSubmatch(text); m != nil {
		return fault.Wrap(fault.Invalid, err, "%s is needed", flags(m[1])).WithHint("%s", "--help explains it")
	}
	if m := arguments.FindStringSubmatch(text); m != nil {
		return fault.Wrap(fault.Invalid, err, "the number of arguments is wrong: %s, and not %s", m[1], m[2]).WithHint("%s", "--help shows which")
	}
	return err
}

// near are the commands that somebody may have meant.
func near(cmd *cobra.Command, word string) []string {
	list := cmd.SuggestionsFor(word)
	if len(list) > 0 {
		return list
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if close := fault.Nearest(word, names); close != "" {
		return []string{close}
	}
	return nil
}
