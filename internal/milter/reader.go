package milter

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"sync"
)

var errFrame = errors.New("not a frame of the milter protocol")

// reader reads frames through one buffer: small while the connection is idle, large during a message's content. What it hands out
// lies in that buffer, or in spill for a frame that is larger, and is valid until the next call.
type reader struct {
	from       io.Reader
	buf        []byte
	start, end int // of what is read and not handed out
	small      [smallBuffer]byte
	spill      []byte
	beforeRead func() error // called when from is about to be asked
	timedOut   func() bool  // called when from did not answer in time: whether to ask again
}

// largeBuffers are shared, so that only connections with content under way hold one.
var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

func (r *reader) init() { r.buf = r.small[:] }

// grow goes over to a large buffer.
func (r *reader) grow() {
	if len(r.buf) == largeBuffer {
		return
	}
	large := largeBuffers.Get().(*[largeBuffer]byte)
	r.end = copy(large[:], r.buf[r.start:r.end])
	r.buf, r.start = large[:], 0
}

// shrink gives the large buffer back when what is in it fits in the small one.
func (r *reader) shrink() {
	if len(r.buf) != largeBuffer || r.end-r.start > smallBuffer {
		return
	}
	large := (*[largeBuffer]byte)(r.buf)
	r.end = copy(r.small[:], r.buf[r.start:r.end])
	r.buf, r.start = r.small[:], 0
	largeBuffers.Put(large)
	r.spill = nil
}

// fill reads until n octets lie in the buffer, which must have room for them.
func (r *reader) fill(n int) error {
	for r.end-r.start < n {
		if err := r.more(n); err != nil {
			return err
		}
	}
	return nil
}

// more reads once, after making room for n octets in all; it may return without any.
func (r *reader) more(n int) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if len(r.buf)-r.start < n {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if err := r.beforeRead(); err != nil {
		return err
	}
	got, err := r.from.Read(r.buf[r.end:])
	r.end += got
	if got > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && r.timedOut() {
		return nil
	}
	if errors.Is(err, io.EOF) && r.end > r.start {
		return io.ErrUnexpectedEOF
	}
	return err
}

// head reads the length and the code of the next frame. length is that of the payload.
func (r *reader) head() (code byte, length int, err error) {
	if err := r.fill(5); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(r.buf[r.start:])
	if n == 0 || n > math.MaxInt32 {
		return 0, 0, errFrame
	}
	code = r.buf[r.start+4]
	r.start += 5
	return code, int(n) - 1, nil
}

// payload hands out a whole payload.
func (r *reader) payload(length int) ([]byte, error) {
	if length <= len(r.buf) {
		if err := unexpected(r.fill(length)); err != nil {
			return nil, err
		}
		p := r.buf[r.start : r.start+length]
		r.start += length
		return p, nil
	}
	r.spill = r.spill[:0]
	err := r.pieces(length, func(p []byte) { r.spill = append(r.spill, p...) })
	return r.spill, err
}

// pieces hands out a payload in the pieces in which it comes.
func (r *reader) pieces(length int, take func([]byte)) error {
	for length > 0 {
		for r.start == r.end {
			if err := unexpected(r.more(1)); err != nil {
				return err
			}
		}
		n := min(length, r.end-r.start)
		take(r.buf[r.start : r.start+n])
		r.start += n
		length -= n
	}
	return nil
}

// unexpected makes an end inside a frame an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
