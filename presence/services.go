package presence

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/service"
)

// Service is a service that the node offers: an endpoint.
type Service struct {
	Code  string    `json:"code"` // service.Running, or why it is not available
	IP    string    `json:"ip"`   // "" = that of the record
	Mode  string    `json:"mode"`
	Name  string    `json:"name"`
	Port  int       `json:"port"` // 0 = nothing connects to it
	Role  string    `json:"role"` // master, slave, standalone, na
	State string    `json:"state"`
	Time  time.Time `json:"time,omitzero"` // since when code and role have these values
}

// Use is what an item of the node watches, and the set that it last worked with: others learn from it who uses a
// service, and who is behind.
type Use struct {
	Deployment string `json:"deployment,omitempty"` // whose endpoints; "" = those of the node's own, all = of every one
	Item       string `json:"item"`                 // repository:item
	Role       string `json:"role,omitempty"`       // "" = any
	Service    string `json:"service"`
	Set        string `json:"set,omitempty"` // Endpoints.ID of its last success; "" = it had none
}

// The most that a record says of services; more is a mistake of its node.
const (
	ServicesMost = 100
	UsesMost     = 100

	stateMost = 60  // characters of Service.State
	wordMost  = 100 // of a name that we do not give
)

// normalServices returns services as records hold them: by name, bounded, each value one that others can use without a
// look at it. A record is what another machine says, and ends in configs of balancers and in environments of scripts.
func normalServices(all []Service) []Service {
	list := []Service{}
	for _, s := range all {
		if !service.ValidName(s.Name) || slices.ContainsFunc(list, func(o Service) bool { return o.Name == s.Name }) {
			continue
		}
		if len(list) == ServicesMost {
			break
		}
		s.IP, s.Time, s.State = ValidIP(s.IP), WholeSecond(s.Time), human.Truncate(human.Line(s.State), stateMost)
		if s.Port < 0 || s.Port > 65535 {
			s.Port = 0
		}
		if !service.ValidName(s.Mode) {
			s.Mode = ""
		}
		if !service.ValidRole(s.Role) {
			s.Role = "na"
		}
		if s.Code != string(service.Running) && !service.ValidCode(s.Code) {
			s.Code = string(service.Stopped)
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// normalUses is the same for uses; no use is nil.
func normalUses(all []Use) (list []Use) {
	for _, u := range all {
		if !service.ValidName(u.Service) {
			continue
		}
		u.Item = human.Truncate(human.Line(u.Item), 2*wordMost)
		u.Deployment = human.Truncate(human.Line(u.Deployment), wordMost)
		if u.Role != "" && !service.ValidRole(u.Role) {
			u.Role = "na"
		}
		if _, err := hex.DecodeString(u.Set); err != nil || len(u.Set) > 64 {
			u.Set = ""
		}
		list = append(list, u)
	}
	slices.SortFunc(list, compareUses)
	list = slices.Compact(list)
	return list[:min(len(list), UsesMost)]
}

func compareUses(a, b Use) int {
	return cmp.Or(strings.Compare(a.Item, b.Item), strings.Compare(a.Service, b.Service), strings.Compare(a.Role, b.Role),
		strings.Compare(a.Deployment, b.Deployment), strings.Compare(a.Set, b.Set))
}

// ValidIP returns an address in its usual form, "" for what is not one that others can connect to. A link-local address
// can be the metadata service of the machine that connects: a balancer would show the credentials of its own machine.
func ValidIP(text string) string {
	ip, err := netip.ParseAddr(text)
	ip = ip.Unmap()
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip == metadataIPv6() {
		return ""
	}
	return ip.String()
}

// metadataIPv6 is where EC2 has its metadata service beside 169.254.169.254.
func metadataIPv6() netip.Addr { return netip.MustParseAddr("fd00:ec2::254") }
