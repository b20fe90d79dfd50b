package event

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
)

// Expected is what must exist, whether it does or not.
type Expected struct {
	Name     string
	IP       string
	Part     string
	Services []string
	Launch   Launch
}

// Launch is how to make an instance; without a template it cannot be made.
type Launch struct {
	Template, Subnet string
	IP, Name         string // the private address and the name that it gets
	Token            string // the same for the same launch
}

// ParseExpected reads the file of --expect: a list of maps. file is how it is called in the problems, each of which has
// line and column. With problems the list means nothing.
func ParseExpected(file string, data []byte) (list []Expected, problems []string) {
	problems = strictyaml.ReadList(file, data, "{ name: db1, ip: 10.0.0.5, services: [ db ] }", func(y *strictyaml.File, n strictyaml.Node) {
		var x Expected
		for _, f := range y.Fields(n, []string{"name", "ip", "part", "services", "launch"}) {
			switch f.Key.Text {
			case "name":
				if x.Name, _ = y.Text(f); x.Name != "" && slices.ContainsFunc(list, func(o Expected) bool { return o.Name == x.Name }) {
					y.Wrong(f.Value, "the name %s is there twice", human.Quote(x.Name))
				}
			case "ip":
				x.IP, _ = y.Text(f)
				_, wrong := netip.ParseAddr(x.IP)
				switch {
				case x.IP == "":
				case wrong != nil:
					y.Wrong(f.Value, "%s is not an address", human.Quote(x.IP))
				case slices.ContainsFunc(list, func(o Expected) bool { return o.IP == x.IP }):
					y.Wrong(f.Value, "the address %s is there twice", x.IP)
				}
			case "part":
				x.Part, _ = y.Text(f)
			case "services":
				for _, name := range y.Names(f) {
					if x.Services = append(x.Services, name); !service.ValidName(name) {
						y.Wrong(f.Value, "%s is no name of a service: small letters, digits and dashes", human.Quote(name))
					}
				}
			case "launch":
				for _, f := range y.Fields(f.Value, []string{"template", "subnet"}) {
					*map[string]*string{"template": &x.Launch.Template, "subnet": &x.Launch.Subnet}[f.Key.Text], _ = y.Text(f)
				}
			}
		}
		if n.Is(strictyaml.Map) && x.Name == "" {
			y.Wrong(n, "name is missing")
		}
		list = append(list, x)
	})
	return list, problems
}

// With adds to a status what must exist and does not: a terminated instance, and uninstalled services. An instance is
// the expected one by its id or its address. Without the provider's view none counts as terminated.
func (s Status) With(expected []Expected) Status {
	s.Instances, s.Services = slices.Clone(s.Instances), slices.Clone(s.Services)
	for _, x := range expected {
		id := x.Name
		if at, there := s.instanceOf(x); there {
			id = at.ID
		} else if s.Provided {
			s.Instances = append(s.Instances, Instance{x.Name, x.IP, Terminated})
		}
		for _, name := range x.Services {
			if !slices.ContainsFunc(s.Services, func(o Service) bool { return o.Name == name && o.Node == id }) {
				s.Services = append(s.Services, Service{presence.Service{Name: name, IP: x.IP, Code: string(service.Uninstalled), State: service.Uninstalled.State()}, id})
			}
		}
	}
	slices.SortFunc(s.Instances, func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(s.Services, func(a, b Service) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node)) })
	return s
}
