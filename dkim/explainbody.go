package dkim

import (
	"context"
	"fmt"
	"hash"
)

// bodyExplainer runs hypotheses about a body side by side while the body streams through once.
type bodyExplainer struct {
	sig    *signature
	total  int64 // octets of the body
	lines  lineSplitter
	watch  bodyWatch // of the canonical body; nil with l=
	plain  bodyHash  // feeds it
	trials []*bodyTrial
	facts  bodyFacts
}

// bodyWatch is told the canonical body in place of a hash, and says what it has seen.
type bodyWatch interface {
	hash.Hash
	explain() (Explanation, bool)
}

// explainBody explains ReasonBodyHashMismatch: one pass for what needs no knowledge of the body, a second one for broken lines,
// whose length the first one found, and for inserted lines, for which it found what may follow them.
func (x *explainer) explainBody(ctx context.Context) (Explanation, error) {
	var b *bodyExplainer
	var ends *endWatch
	start := func() {
		if b == nil {
			ends = newEndWatch(x.sig)
			b = newBodyExplainer(x.sig, ends, bodyTrials(x.sig))
		}
	}
	err := x.pass(ctx, func(chunk []byte) {
		start()
		b.write(chunk)
	})
	if err != nil {
		return Explanation{}, err
	}
	start()
	if e, ok := b.finish(); ok {
		return e, nil
	}
	if b.total > MaxExplainedBody {
		return Explanation{Cause: CauseUnknown, Text: fmt.Sprintf("The body is larger than %d MiB, too large to look for the cause.", MaxExplainedBody>>20)}, nil
	}
	second := newBodyExplainer(x.sig, newInsertWatch(x.sig, ends, b.total), brokenLineTrials(x.sig, b.facts.longest))
	if err := x.pass(ctx, second.write); err != nil {
		return Explanation{}, err
	}
	if e, ok := second.finish(); ok {
		return e, nil
	}
	if b.watch != nil {
		if e, ok := ends.explainSpaces(); ok {
			return e, nil
		}
	}
	return b.facts.guess(&x.v.block), nil
}

func newBodyExplainer(s *signature, watch bodyWatch, trials []*bodyTrial) *bodyExplainer {
	b := &bodyExplainer{sig: s, trials: trials}
	if s.limit == noLimit {
		b.watch = watch
		b.plain = bodyHash{canon: s.body, sinks: []bodySink{{hash: watch, limit: noLimit}}}
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
	if b.watch != nil {
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
	if b.watch != nil {
		b.plain.finish()
		if e, ok := b.watch.explain(); ok {
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
