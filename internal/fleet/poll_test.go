package fleet_test

import (
	"context"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// patience is how long a test waits for something that should happen at once.
const patience = 10 * time.Second

func TestInstructionsAreOfOneServerOnly(t *testing.T) {
	b := newBench(t)
	got, err := b.Poll(t.Context(), "srv_1", agentapi.PollRequest{Version: agentapi.Version})
	must(t, err)
	if len(got.Assignments) != 1 || got.Assignments[0].ID != "as_1" || len(got.Assignments[0].Keys) != 1 || got.Assignments[0].Keys[0].ID != "key_1" {
		t.Errorf("mx1 is told %+v", got.Assignments)
	}
	installation, err := b.store.Installation(t.Context())
	must(t, err)
	if got.Installation != installation.ID || got.Epoch != installation.Epoch || got.Installation == "" || got.ReportSeconds != 300 || got.Version < 1 {
		t.Errorf("marked %q epoch %d, report every %d s, version %d", got.Installation, got.Epoch, got.ReportSeconds, got.Version)
	}
	same, err := b.Poll(t.Context(), "srv_1", agentapi.PollRequest{Version: agentapi.Version, Have: got.Version, Source: agentapi.Source{Installation: got.Installation, Epoch: got.Epoch}})
	must(t, err)
	if !same.Unchanged || same.Version != got.Version || same.Installation != installation.ID || len(same.Assignments) != 0 {
		t.Errorf("polling again without waiting gives %+v", same)
	}
}

// A version number of another installation, or from before a restore, says nothing about what the agent has.
func TestNumbersOfAnotherSourceDoNotCount(t *testing.T) {
	b := newBench(t)
	got, err := b.Poll(t.Context(), "srv_1", agentapi.PollRequest{Version: agentapi.Version})
	must(t, err)
	for name, source := range map[string]agentapi.Source{
		"another installation": {Installation: "inst_other", Epoch: got.Epoch},
		"another epoch":        {Installation: got.Installation, Epoch: got.Epoch + 1},
		"none":                 {},
	} {
		again, err := b.Poll(t.Context(), "srv_1", agentapi.PollRequest{Version: agentapi.Version, Have: got.Version, Source: source})
		must(t, err)
		if again.Unchanged || len(again.Assignments) != 1 {
			t.Errorf("%s: told %+v", name, again)
		}
	}
}

func TestPollRefuses(t *testing.T) {
	b := newBench(t)
	for name, r := range map[string]agentapi.PollRequest{
		"other version":   {Version: 2},
		"negative wait":   {Version: agentapi.Version, WaitSeconds: -1},
		"negative number": {Version: agentapi.Version, Have: -1},
	} {
		if _, err := b.Poll(t.Context(), "srv_1", r); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := b.Poll(t.Context(), "srv_9", agentapi.PollRequest{Version: agentapi.Version})
	wantCode(t, err, fault.NotFound)
}

type polled struct {
	instructions agentapi.Instructions
	err          error
}

// poll waits in the background.
func (b *bench) poll(t *testing.T, ctx context.Context, have int64) <-chan polled {
	t.Helper()
	out := make(chan polled, 1)
	installation, err := b.store.Installation(ctx)
	must(t, err)
	source := agentapi.Source{Installation: installation.ID, Epoch: installation.Epoch}
	go func() {
		i, err := b.Poll(ctx, "srv_1", agentapi.PollRequest{Version: agentapi.Version, Have: have, WaitSeconds: 3600, Source: source})
		out <- polled{i, err}
	}()
	return out
}

func TestLongPoll(t *testing.T) {
	b := newBench(t)
	running, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Run(running) }()
	have, err := b.Poll(t.Context(), "srv_1", agentapi.PollRequest{Version: agentapi.Version})
	must(t, err)
	wait := func(c <-chan polled) polled {
		t.Helper()
		select {
		case p := <-c:
			return p
		case <-time.After(patience):
			t.Fatal("the poll did not end")
			return polled{}
		}
	}

	answer := b.poll(t, t.Context(), have.Version)
	b.change(t, "key_2", func(k *lifecycle.Key) { k.Holders[0].Want = lifecycle.WantSign }) // mx2's business
	b.change(t, "key_1", func(k *lifecycle.Key) { k.Holders[0].Want, k.Holders[0].Rank = lifecycle.WantSign, 1 })
	b.Wake()
	got := wait(answer)
	must(t, got.err)
	if got.instructions.Version == have.Version || got.instructions.Assignments[0].Keys[0].Want != agentapi.WantSign {
		t.Errorf("the poll brought %+v", got.instructions)
	}

	gone, leave := context.WithCancel(t.Context())
	answer = b.poll(t, gone, got.instructions.Version)
	leave()
	wantCode(t, wait(answer).err, fault.Unavailable)

	answer = b.poll(t, t.Context(), got.instructions.Version)
	stop()
	if p := wait(answer); p.err != nil || !p.instructions.Unchanged {
		t.Errorf("when the control plane stops a poll ends with %+v, %v", p.instructions, p.err)
	}
	must(t, <-stopped)
}
