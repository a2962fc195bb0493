//go:build !linux

package nameserver

import "syscall"

const sharesPort = false

func reusePort(_, _ string, _ syscall.RawConn) error { return nil }
