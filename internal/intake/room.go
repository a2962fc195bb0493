package intake

import (
	"context"
	"io"

	"golang.org/x/sync/semaphore"

	"github.com/postseal/postseal/internal/fault"
)

// room is the memory that inputs have together while they are taken.
type room struct{ free *semaphore.Weighted }

func newRoom(octets int64) *room { return &room{semaphore.NewWeighted(octets)} }

// errNoRoom: others hold all of it.
var errNoRoom = fault.New(fault.Unavailable, "too much is arriving at once")

// errTooLarge: nobody reports that much.
var errTooLarge = fault.New(fault.Invalid, "it has more than %d MiB", maxInput>>20)

// read reads an input of unknown size. It waits for nothing but the reader: without room it gives errNoRoom, beyond maxInput octets errTooLarge. The caller calls done when the octets are
// not needed any more.
func (r *room) read(src io.Reader) (octets []byte, done func(), err error) {
	held := int64(firstRoom)
	if !r.free.TryAcquire(held) {
		return nil, nil, errNoRoom
	}
	defer func() {
		if err != nil {
			r.free.Release(held)
		}
	}()
	buffer := make([]byte, 0, held)
	for {
		if len(buffer) == cap(buffer) {
			larger := 2 * int64(cap(buffer))
			if larger >= maxInput {
				larger = maxInput + 1 // the last one tells that there is more
			}
			if !r.free.TryAcquire(larger) {
				return nil, nil, errNoRoom
			}
			buffer = append(make([]byte, 0, larger), buffer...)
			r.free.Release(held)
			held = larger
		}
		n, err := src.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case len(buffer) > maxInput:
			return nil, nil, errTooLarge
		case err == io.EOF:
			return buffer, func() { r.free.Release(held) }, nil
		case err != nil:
			return nil, nil, err
		}
	}
}

// wait waits for the room of an input whose size is known.
func (r *room) wait(ctx context.Context, octets int64) (done func(), err error) {
	if octets > maxInput {
		return nil, errTooLarge
	}
	if err := r.free.Acquire(ctx, octets); err != nil {
		return nil, err
	}
	return func() { r.free.Release(octets) }, nil
}

// more gets more room for an input that turns out to have so many octets, without waiting.
func (r *room) more(all, octets int64) (done func(), err error) {
	switch {
	case all > maxInput:
		return nil, errTooLarge
	case !r.free.TryAcquire(octets):
		return nil, errNoRoom
	}
	return func() { r.free.Release(octets) }, nil
}
