package presence

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/service"
)

// Endpoint is one node's offer of a service, as others see it. The field order is that of the keys in its line.
type Endpoint struct {
	Code       string    `json:"code"`            // 000000 = available; docs/services.md has the others
	Deployment string    `json:"deployment"`      // of its node
	IP         string    `json:"ip"`              // empty = the node announced no address
	Left       bool      `json:"left,omitempty"`  // its node is silent, and it is not in the set any more
	Mode       string    `json:"mode"`            // the kind of server
	Node       string    `json:"node"`            // instance id
	Port       int       `json:"port"`            // 0 = nothing connects to it
	Role       string    `json:"role"`            // master, slave, standalone or na
	Silent     time.Time `json:"silent,omitzero"` // its node is silent: it had promised to report by then
}

// Available says whether the endpoint is in the set of its service.
func (e Endpoint) Available() bool { return service.Code(e.Code).Available() && !e.Left }

// Endpoints are those of all services, by the name of the service; each list is sorted by node.
type Endpoints map[string][]Endpoint

// silentMost is how long an endpoint stays in a set that has lost more than half of its nodes at once.
const silentMost = time.Hour

// EndpointsOf are the endpoints that a fleet offers. Before is what they were: one that has left its set because its
// node is silent comes back only when that reports.
//
// The set of a service in a deployment, for each role, is its available endpoints on nodes that are present or late.
// Those of nodes that go silent leave while at least half of the set still reports: else it is presence that has a
// problem, and they stay until they report, are reaped, or an hour has passed. The last one stays until it is reaped.
func EndpointsOf(before Endpoints, f Fleet, now time.Time) Endpoints {
	next := Endpoints{}
	for _, n := range f.Nodes {
		age := n.Age(now)
		if age == Gone {
			continue
		}
		for _, s := range n.Services {
			e := Endpoint{Code: s.Code, Deployment: n.Deployment, IP: cmp.Or(s.IP, n.IP), Mode: s.Mode, Node: n.InstanceID, Port: s.Port, Role: s.Role}
			if e.IP == "" && len(n.Addresses) > 0 {
				e.IP = ValidIP(n.Addresses[0])
			}
			if age == Missing {
				e.Silent = WholeSecond(n.Promised())
				e.Left = slices.ContainsFunc(before[s.Name], func(o Endpoint) bool { return o.Node == e.Node && o.Left })
			}
			next[s.Name] = append(next[s.Name], e)
		}
	}
	for _, all := range next {
		slices.SortFunc(all, func(a, b Endpoint) int { return strings.Compare(a.Node, b.Node) })
		sets := map[[2]string][]*Endpoint{}
		for i, e := range all {
			if e.Available() {
				sets[[2]string{e.Deployment, e.Role}] = append(sets[[2]string{e.Deployment, e.Role}], &all[i])
			}
		}
		for _, set := range sets {
			leave(set, now)
		}
	}
	return next
}

// leave takes the silent ones out of a set.
func leave(set []*Endpoint, now time.Time) {
	silent := slices.DeleteFunc(slices.Clone(set), func(e *Endpoint) bool { return e.Silent.IsZero() })
	most := 2*len(silent) <= len(set)
	if len(silent) == len(set) { // the one that was heard last stays
		last := slices.MaxFunc(silent, func(a, b *Endpoint) int { return cmp.Or(a.Silent.Compare(b.Silent), strings.Compare(a.Node, b.Node)) })
		silent = slices.DeleteFunc(silent, func(e *Endpoint) bool { return e == last })
	}
	for _, e := range silent {
		e.Left = most || now.Sub(e.Silent) > silentMost
	}
}

// ServiceFilter names a set of endpoints.
type ServiceFilter struct {
	Service    string
	Role       string // "" = any
	Deployment string // "" = that of the node itself, AllDeployments = any
}

// AllDeployments stands for every deployment in a ServiceFilter.
const AllDeployments = "all"

// Set is the available endpoints that agree with a filter, for a node of the deployment own, sorted by node.
func (all Endpoints) Set(f ServiceFilter, own string) (set []Endpoint) {
	for _, e := range all[f.Service] {
		if e.Available() && (f.Role == "" || f.Role == e.Role) && (f.Deployment == AllDeployments || e.Deployment == cmp.Or(f.Deployment, own)) {
			set = append(set, e)
		}
	}
	return set
}

// SetID is a short name of a set: another one when an endpoint came, went, or has another address, port or role. The
// silence of a node changes nothing.
func SetID(set []Endpoint) string {
	h := sha256.New()
	for _, e := range set {
		fmt.Fprintf(h, "%s %q %s %d %s %s\n", e.Node, e.Deployment, e.IP, e.Port, e.Role, e.Mode)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

const endpointsType = "nodeservices"

// MaxEndpointsSize bounds a file of endpoints: 20,000 nodes take 5 MB.
const MaxEndpointsSize = 8 << 20

// EncodeEndpoints is a service of the index as a file: a JSON document with one endpoint a line, so that git stores and
// sends small differences.
func EncodeEndpoints(list []Endpoint) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n    \"filetype\": %q,\n    \"value\": [", endpointsType)
	for i, e := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		line, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("endpoint of %s: %w", e.Node, err)
		}
		fmt.Fprintf(&b, "\n        %s", line)
	}
	b.WriteString("\n    ]\n}\n")
	return b.Bytes(), nil
}

// DecodeEndpoints reads what EncodeEndpoints writes. People can push to the index, too: what is impossible is left out.
func DecodeEndpoints(data []byte) (list []Endpoint, err error) {
	var all []Endpoint
	if err := DecodeDocument(data, endpointsType, &all); err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	for _, e := range all {
		s := normalServices([]Service{{Name: "x", Code: e.Code, IP: e.IP, Mode: e.Mode, Port: e.Port, Role: e.Role}})[0]
		if y := e.Silent.UTC().Year(); node.ValidID(e.Node) != nil || y < 0 || y > 9999 {
			continue
		}
		e.Code, e.IP, e.Mode, e.Port, e.Role = s.Code, s.IP, s.Mode, s.Port, s.Role
		e.Deployment, e.Silent = human.Truncate(human.Line(e.Deployment), wordMost), WholeSecond(e.Silent)
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Endpoint) int { return strings.Compare(a.Node, b.Node) })
	return slices.CompactFunc(list, func(a, b Endpoint) bool { return a.Node == b.Node }), nil
}

// Equal says whether nothing differs.
func (all Endpoints) Equal(other Endpoints) bool {
	return maps.EqualFunc(all, other, func(a, b []Endpoint) bool { return slices.Equal(a, b) })
}

// Behind says whether the last success of an item, on a node of the deployment own, was with other endpoints than
// these.
func (all Endpoints) Behind(u Use, own string) bool {
	return u.Set != SetID(all.Set(ServiceFilter{Service: u.Service, Role: u.Role, Deployment: u.Deployment}, own))
}
