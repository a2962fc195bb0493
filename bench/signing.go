package main

import (
	"context"
	"fmt"
	"time"
)

// signedPerRound is how many messages one round sends: about half a second of CPU time of the faster milters.
var signedPerRound = map[string]int{"2 KiB": 480, "50 KiB": 400, "1 MiB base64": 160}

// compareSigning starts the milters that sign and lets them take turns.
func compareSigning(ctx context.Context, dir string, t tools, rounds int, limit time.Duration) (milterResult, error) {
	c := &contest{client: ownClient, counts: signedPerRound}
	defer func() { c.stopAll() }()
	msgs, err := milterMessages(dir)
	if err != nil {
		return c.result, err
	}
	us, err := startPostseal(ctx, dir, t.postseal)
	c.enter(oursMilter, us, err)
	for _, p := range rivals() {
		s, err := p.start(ctx, dir, milterSetup{signs: true, rspamdCache: t.rspamdCache})
		c.enter(p.name, s, err)
	}
	checks := map[*milterServer]*checker{}
	for _, s := range c.servers {
		checks[s] = newChecker(s.lookup)
	}
	c.judge = func(s *milterServer, m *message, answers [][]field) error {
		signatures := make([][]byte, len(answers))
		for i, inserted := range answers {
			if signatures[i] = signatureIn(inserted); signatures[i] == nil {
				return fmt.Errorf("message %d is not signed", i)
			}
		}
		return checks[s].check(m, s.name == oursMilter, signatures)
	}
	c.run(ctx, msgs, rounds, limit)
	return c.result, nil
}

// milterMessages are those that go through milters.
func milterMessages(dir string) ([]*message, error) {
	all, err := messages(dir)
	var out []*message
	for _, m := range all {
		if signedPerRound[m.name] > 0 {
			out = append(out, m)
		}
	}
	return out, err
}

// milterSetup is what a rival is started for.
type milterSetup struct {
	signs    bool
	resolver string // its address, port 53; "" where none is needed
	// rspamdCache is a folder in which rspamd keeps what it compiles at its first start.
	rspamdCache string
}

// rival is a milter to compare with.
type rival struct {
	name  string
	start func(ctx context.Context, dir string, setup milterSetup) (*milterServer, error)
}

func rivals() []rival {
	return []rival{{"opendkim", startOpenDKIM}, {"rspamd", startRspamd}, {"dkimpy-milter", startDkimpyMilter}}
}
