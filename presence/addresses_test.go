package presence

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"
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

// TestOwnIP: what people write comes first, then the address of the cloud, which is asked until it answers.
func TestOwnIP(t *testing.T) {
	asked := 0
	answers := []struct {
		ip  string
		err error
	}{{"", errors.New("no answer")}, {"10.9.8.7", nil}}
	own := &Own{Cloud: func(context.Context) (string, error) {
		asked++
		return answers[asked-1].ip, answers[asked-1].err
	}}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, want := range []string{Route(), Route(), "10.9.8.7", "10.9.8.7"} {
		r := Record{BeatSeen: at.Add(time.Duration(i) * 6 * time.Minute)}
		if own.Fill(&r); r.IP != want {
			t.Errorf("beat %d: %s, want %s", i, r.IP, want)
		}
	}
	r := Record{BeatSeen: at.Add(time.Hour), IP: "192.0.2.1"}
	if own.Fill(&r); r.IP != "192.0.2.1" || asked != 2 {
		t.Errorf("%s, asked %d times", r.IP, asked)
	}
	hostile := &Own{Cloud: func(context.Context) (string, error) { return "10.0.0.1\nserver x", nil }}
	r = Record{BeatSeen: at}
	if hostile.Fill(&r); r.IP != Route() {
		t.Error(r.IP)
	}
}
