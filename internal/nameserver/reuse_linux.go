package nameserver

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sharesPort says that several sockets can be bound to one port, and that the kernel spreads clients over them.
const sharesPort = true

// reusePort lets further sockets of this account have the same port.
func reusePort(_, _ string, c syscall.RawConn) error {
	var set error
	if err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); err != nil {
		return err
	}
	return set
}
