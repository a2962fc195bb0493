package dkim

import (
	"context"
	"fmt"
)

// bodyExplainer runs hypotheses about a body side by side while the body streams through once.
type bodyExplainer struct {
	sig    *signature
	total  int64 // octets of the body
	lines  lineSplitter
	ends   *endWatch // the canonical body at its line ends; nil with l=
	plain  bodyHash  // feeds ends
	trials []*bodyTrial
	facts  bodyFacts
}

// explainBody explains ReasonBodyHashMismatch: one pass for what needs no knowledge of the body, a second one for broken lines,
// whose length the first one found.
func (x *explainer) explainBody(ctx context.Context) (Explanation, error) {
	var b *bodyExplainer
	err := x.pass(ctx, func(chunk []byte) {
		if b == nil {
			b = newBodyExplainer(x.sig, bodyTrials(x.sig))
		}
		b.write(chunk)
	})
	if err != nil {
		return Explanation{}, err
	}
	if b == nil {
		b = newBodyExplainer(x.sig, bodyTrials(x.sig))
	}
	if e, ok := b.finish(); ok {
		return e, nil
	}
	if b.total > MaxExplainedBody {
		return Explanation{Cause: CauseUnknown, Text: fmt.Sprintf("The body is larger than %d MiB, too large to look for the cause.", MaxExplainedBody>>20)}, nil
	}
	if b.facts.longest >= minBrokenLine {
		second := newBodyExplainer(x.sig, brokenLineTrials(x.sig, b.facts.longest))
		if err := x.pass(ctx, second.write); err != nil {
			return Explanation{}, err
		}
		if e, ok := second.finish(); ok {
			return e, nil
		}
	}
	return b.facts.guess(&x.v.block), nil
}

func newBodyExplainer(s *signature, trials []*bodyTrial) *bodyExplainer {
	b := &bodyExplainer{sig: s, trials: trials}
	if s.limit == noLimit {
		b.ends = newEndWatch(s)
		b.plain = bodyHash{canon: s.body, sinks: []bodySink{{hash: b.ends, limit: noLimit}}}
	}
	b.lines.emit = func(text []byte, first, ends bool) {
		b.facts.see(text, first, ends)
		for _, t := range b.trials {
			t.edit(t, text, first, ends)
		}
	}
	return b
}

func (b *bodyExplainer) write(chunk []byte) {
	if b.total += int64(len(chunk)); b.total > MaxExplainedBody {
		return
	}
	if b.ends != nil {
		b.plain.write(chunk)
	}
	b.lines.write(chunk)
}

// finish gives the explanation that a hash proved.
func (b *bodyExplainer) finish() (Explanation, bool) {
	if b.total > MaxExplainedBody {
		return Explanation{}, false
	}
	b.lines.finish()
	if b.ends != nil {
		b.plain.finish()
		if e, ok := b.ends.explain(); ok {
			return e, true
		}
	}
	for _, t := range b.trials {
		if sum := t.finish(); sum == b.sig.sum && !t.idle {
			return Explanation{Cause: t.cause, Proven: true, Text: t.text}, true
		}
	}
	return Explanation{}, false
}
