package presence

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
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

// Own fills in the addresses of this machine. They are looked up anew now and then: it takes three dumps of the
// kernel's tables, a tenth of a quiet beat.
type Own struct {
	// Cloud asks for the private address that the cloud gave to this machine, which never changes: until it answers. ""
	// = it gave none. nil = there is no cloud.
	Cloud func(context.Context) (string, error)

	known []string
	ip    string // of the cloud
	route string
	when  time.Time
}

const (
	ownEach  = 10 * time.Minute
	cloudAsk = time.Second // a beat waits for it
)

// Fill sets the addresses of a record, and its ip where that is not set: that of the cloud, or else of the default
// route.
func (o *Own) Fill(r *Record) {
	if since := r.BeatSeen.Sub(o.when); since < 0 || since >= ownEach {
		// A machine that cannot list its interfaces has no addresses to tell.
		o.known, _ = Addresses()
		o.route, o.when = Route(), r.BeatSeen
		if o.Cloud != nil {
			ctx, cancel := context.WithTimeout(context.Background(), cloudAsk)
			defer cancel()
			if ip, err := o.Cloud(ctx); err == nil {
				o.ip, o.Cloud = ValidIP(ip), nil
			}
		}
	}
	r.Addresses, r.IP = o.known, cmp.Or(r.IP, o.ip, o.route)
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
