package presence

import (
	"net"
	"slices"
	"testing"
)

type address string

func (a address) Network() string { return "ip+net" }
func (a address) String() string  { return string(a) }

func TestReachable(t *testing.T) {
	got := reachable([]net.Addr{
		address("192.168.1.10/24"), address("fd00::7/64"), address("127.0.0.1/8"), address("::1/128"), address("fe80::1/64"),
		address("10.0.0.7/8"), address("9.9.9.9/32"), address("10.0.0.7/24"), address("169.254.3.4/16"), address("224.0.0.1/4"),
		address("0.0.0.0/0"), address("2001:db8::1/64"), address("nonsense"),
	})
	want := []string{"9.9.9.9", "10.0.0.7", "192.168.1.10", "2001:db8::1", "fd00::7"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := reachable(nil); got == nil || len(got) != 0 {
		t.Errorf("of nothing %v", got)
	}
}
