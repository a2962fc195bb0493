package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func frame(code byte, payload string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(1+len(payload))), append([]byte{code}, payload...)...)
}

// readerConn is a connection of which only Read and SetReadDeadline matter.
type readerConn struct {
	net.Conn
	io.Reader
	deadlines []bool
}

func (c *readerConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func (c *readerConn) SetReadDeadline(t time.Time) error {
	c.deadlines = append(c.deadlines, !t.IsZero())
	return nil
}

func TestFramesPassOrAreReplacedOrEndTheConnection(t *testing.T) {
	tooLong := strings.Repeat("x", maxHeaderFrame)
	for _, c := range []struct {
		name     string
		in, want []byte
		broken   bool
	}{
		{name: "ordinary", in: append(frame('C', "host\x004\x00\x19127.0.0.1\x00"), frame('Q', "")...), want: append(frame('C', "host\x004\x00\x19127.0.0.1\x00"), frame('Q', "")...)},
		{name: "body", in: frame('B', strings.Repeat("y", 65535)), want: frame('B', strings.Repeat("y", 65535))},
		{name: "empty body", in: frame('B', ""), want: frame('B', "")},
		{name: "field", in: frame('L', "To\x00 a\x00"), want: frame('L', "To\x00 a\x00")},
		{name: "field too large", in: append(frame('L', "To\x00 "+tooLong+"\x00"), frame('N', "")...), want: append(frame('L', oversizedField+"\x00\x00"), frame('N', "")...)},
		{name: "field with a NUL", in: frame('L', "To\x00 a\x00b\x00"), want: frame('L', malformedField+"\x00\x00")},
		{name: "field without an end", in: frame('L', "To\x00 a"), want: frame('L', malformedField+"\x00\x00")},
		{name: "no length", in: []byte{0, 0, 0, 0}, broken: true},
		{name: "body too large", in: frame('B', strings.Repeat("y", maxBodyFrame)), broken: true},
		{name: "macros too large", in: frame('D', strings.Repeat("y", maxOtherFrame)), broken: true},
		{name: "half a gigabyte announced", in: []byte{0x1f, 0xff, 0xff, 0xff, 'D'}, broken: true},
		{name: "host without an end", in: frame('C', "host"), broken: true},
		{name: "host without a family", in: frame('C', "host\x00"), broken: true},
		{name: "sender without an end", in: frame('M', "<a@b>"), broken: true},
		{name: "recipient without an end", in: frame('R', "<a@b>"), broken: true},
		{name: "cut in the length", in: []byte{0, 0}, broken: true},
		{name: "cut in a field", in: frame('L', "To\x00 a\x00")[:8], broken: true},
		{name: "cut in a body", in: frame('B', "hello")[:7], broken: true},
	} {
		for _, slow := range []bool{false, true} {
			var r io.Reader = bytes.NewReader(c.in)
			if slow {
				r = iotest.OneByteReader(r)
			}
			conn := newFrameConn(&readerConn{Reader: r}, func() {})
			// As the protocol library reads: it wants the length first, then exactly that much.
			var got []byte
			var err error
			for err == nil {
				head := make([]byte, 4)
				if _, err = io.ReadFull(conn, head); err != nil {
					break
				}
				payload := make([]byte, binary.BigEndian.Uint32(head))
				if _, err = io.ReadFull(conn, payload); err == nil {
					got = append(append(got, head...), payload...)
				}
			}
			if broken := !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); broken != c.broken {
				t.Errorf("%s (slow %v): %v", c.name, slow, err)
			}
			if !c.broken && !bytes.Equal(got, c.want) {
				t.Errorf("%s (slow %v): %.80q, want %.80q", c.name, slow, got, c.want)
			}
		}
	}
}

// The MTA may take any time before the content, but not in the middle of it.
func TestSilenceIsLimitedWithinContentOnly(t *testing.T) {
	in := bytes.Join([][]byte{frame('O', "123456789012"), frame('H', "h\x00"), frame('L', "To\x00a\x00"), frame('N', ""), frame('B', "x"), frame('E', ""), frame('M', "a\x00"), frame('A', "")}, nil)
	under := &readerConn{Reader: bytes.NewReader(in)}
	if _, err := io.ReadAll(newFrameConn(under, func() {})); err != nil {
		t.Fatal(err)
	}
	want := []bool{false, false, true, true, true, false, false, false} // before: H L N B E M A and the end
	if len(under.deadlines) != len(want) {
		t.Fatalf("deadlines %v", under.deadlines)
	}
	for i := range want {
		if under.deadlines[i] != want[i] {
			t.Errorf("deadlines %v, want %v", under.deadlines, want)
			break
		}
	}
}

// A field of 100 MB is read past without being kept.
func TestHugeFieldTakesNoMemory(t *testing.T) {
	const size = 100 << 20
	head := append(binary.BigEndian.AppendUint32(nil, size), 'L')
	conn := newFrameConn(&readerConn{Reader: io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, size-1))}, func() {})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := io.ReadAll(conn)
	runtime.ReadMemStats(&after)
	if err != nil || string(got) != string(frame('L', oversizedField+"\x00\x00")) {
		t.Errorf("%.40q, %v", got, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d octets were allocated", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
