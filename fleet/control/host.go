package control

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/addagent/addagent/fleet/event"
)

// ThisHost is the machine that this process runs on, as a heartbeat names it.
func ThisHost() (event.Host, error) {
	var h event.Host
	// Without /proc, as in a strict container, the size is 0, as the ancestor always had it.
	if memory, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, rest, _ := strings.Cut(string(memory), "MemTotal:")
		_, _ = fmt.Sscan(rest, &h.RAM)
	}
	all, err := net.Interfaces()
	if err != nil {
		return h, fmt.Errorf("interfaces of this host: %w", err)
	}
	for _, i := range all {
		one := event.Interface{Name: i.Name, Up: i.Flags&net.FlagUp != 0}
		addresses, _ := i.Addrs() // one that went away has none
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && (one.IP == "" || prefix.Addr().Is4()) {
				one.IP = prefix.Addr().String()
				if prefix.Addr().Is4() {
					break
				}
			}
		}
		h.Interfaces = append(h.Interfaces, one)
	}
	return h, nil
}
