package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
)

const (
	// maxAnswerTries is how often one question is asked: whoever cannot answer it three times has to look it up.
	maxAnswerTries = 3
	// maxQuestions bounds the questions of one set-up; the most that a service needs is a selector and a target for each of six records.
	maxQuestions = 20
)

// askAnswers asks for what is still missing, one question after the other, and says where to find it. variants are the other ways of setting
// the service up.
func askAnswers(in io.Reader, out io.Writer, s services.Service, variants []services.Service, domain string, a services.Answers) (services.Answers, error) {
	lines := bufio.NewReader(io.LimitReader(in, maxLintOctets))
	tries := 0
	for n := 0; ; {
		missing := s.Ask(a)
		if len(missing) == 0 {
			return a, nil
		}
		if n == 0 && tries == 0 {
			fmt.Fprintf(out, "%s for %s. In its console: %s\n", clean(s.Title), domain, clean(s.Where()))
			if s.Console != "" {
				fmt.Fprintln(out, "(this way is from memory; consoles change)")
			}
			for _, v := range variants {
				fmt.Fprintf(out, "If the console shows something else: %s (%s)\n", v.ID, clean(v.Title))
			}
		}
		if n++; n > maxQuestions {
			return a, fault.New(fault.Internal, "%s asks without end", s.Title)
		}
		question := missing[0]
		text, err := askOne(lines, out, question)
		if err != nil {
			return a, err
		}
		next, notes, err := s.Accept(domain, a, question, text)
		if err != nil {
			if tries++; tries >= maxAnswerTries {
				return a, err
			}
			message, hint := fault.Show(err)
			fmt.Fprintf(out, "  that cannot be: %s\n", clean(message))
			if hint != "" {
				fmt.Fprintf(out, "  %s\n", clean(hint))
			}
			n--
			continue
		}
		for _, note := range notes {
			fmt.Fprintf(out, "  %s\n", clean(note))
		}
		a, tries = next, 0
	}
}

// askOne puts one question and reads one line.
func askOne(lines *bufio.Reader, out io.Writer, q services.Input) (string, error) {
	fmt.Fprintf(out, "\n%s\n", clean(q.Question))
	for _, p := range q.Pattern {
		fmt.Fprintf(out, "  usually: %s\n", clean(p))
	}
	if q.Example != "" {
		fmt.Fprintf(out, "  for example: %s\n", clean(q.Example))
	}
	if q.Where != "" {
		fmt.Fprintf(out, "  where: %s\n", clean(q.Where))
	}
	if q.Default != "" {
		fmt.Fprintf(out, "  nothing: %s\n", clean(q.Default))
	}
	fmt.Fprint(out, "> ")
	line, err := lines.ReadString('\n')
	text := strings.TrimSpace(line)
	if text == "" && err != nil {
		return "", fault.New(fault.Invalid, "%s was not answered", q.Question).WithHint("in scripts pass it as --answer %s=VALUE", q.Name)
	}
	if text == "" {
		text = q.Default
	}
	return text, nil
}
