package presence

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Addresses lists the addresses of this machine that another could reach: of interfaces that are up, global unicast
// (private ranges included), no loopback, no link-local. IPv4 first, each kind in numeric order, none twice.
func Addresses() ([]string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	var all []net.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		// An interface that went away since it was listed has no addresses; that is not worth an error.
		if addrs, err := i.Addrs(); err == nil {
			all = append(all, addrs...)
		}
	}
	return reachable(all), nil
}

// Route is the address that this machine uses towards the default route, "" without one. Nothing is sent.
func Route() string {
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // reserved for documentation
		if c, err := net.Dial("udp", far); err == nil {
			defer c.Close()
			return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("").String()
		}
	}
	return ""
}

func reachable(all []net.Addr) []string {
	var found []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if ip := prefix.Addr().Unmap().WithZone(""); ip.IsGlobalUnicast() {
			found = append(found, ip)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	found = slices.Compact(found)
	list := make([]string, 0, len(found))
	for _, ip := range found {
		list = append(list, ip.String())
	}
	return list
}
