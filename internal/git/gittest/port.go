package gittest

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// Port returns host:port of this machine where nothing listens, for a program that is to listen there. Until the test
// ends no other program is given it, neither for listening nor for calling: it is held by a socket that never listens,
// beside which a program that sets SO_REUSEADDR, as all servers do, may listen.
func Port(tb testing.TB, host string) string {
	tb.Helper()
	hold, err := holdPort(net.ParseIP(host).To4())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = hold.Close() })
	at, err := syscall.Getsockname(int(hold.Fd()))
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%s:%d", host, at.(*syscall.SockaddrInet4).Port)
}

func holdPort(ip net.IP) (*os.File, error) {
	syscall.ForkLock.RLock() // no program of ours inherits it
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	hold := os.NewFile(uintptr(fd), "port")
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		_ = hold.Close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte(ip)}); err != nil {
		_ = hold.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	return hold, nil
}
