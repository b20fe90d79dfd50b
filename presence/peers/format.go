package peers

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// Formats are those that Format writes, beside "" for people.
var Formats = [...]string{"json", "hosts", "env", "haproxy", "nginx"}

// Query asks for the endpoints of a service ("" = of all) with a role ("" = any), in one of Formats ("" = for people).
type Query struct{ Service, Role, Format string }

// Wrong is the mistake in a query; nil = it can be answered.
func (q Query) Wrong() error {
	switch {
	case q.Format != "" && !slices.Contains(Formats[:], q.Format):
		return fmt.Errorf("--format %q: give one of %s", q.Format, strings.Join(Formats[:], ", "))
	case q.Service == "" && (q.Format == "haproxy" || q.Format == "nginx"):
		return fmt.Errorf("--format %s needs the NAME of a service", q.Format)
	}
	return nil
}

// Print answers with what is in nodeinfo/services.json, or in the copy of it that a run got.
func (q Query) Print(to io.Writer, path string) error {
	var sets []Set
	data, err := files.ReadSmall(path, presence.MaxEndpointsSize)
	if err == nil {
		err = json.Unmarshal(data, &sets)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sets of services in %s: %w", path, files.Cause(err))
	}
	if sets = q.pick(sets); len(sets) == 0 {
		return fmt.Errorf("no item of this node watches %s: name it in the watch of a work.yaml", cmp.Or(q.Service, "a service"))
	}
	switch q.Format {
	case "":
		w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		for _, row := range rows(sets) {
			fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
		}
		return w.Flush()
	case "json":
		e := json.NewEncoder(to)
		e.SetIndent("", "    ")
		return e.Encode(sets)
	}
	_, err = io.WriteString(to, lines(sets, q.Format))
	return err
}

// pick keeps the sets of the service, and in them the endpoints with the role.
func (q Query) pick(sets []Set) (picked []Set) {
	for _, s := range sets {
		if q.Service == "" || s.Service == q.Service {
			s.Endpoints = slices.DeleteFunc(append([]presence.Endpoint{}, s.Endpoints...), func(e presence.Endpoint) bool { return q.Role != "" && e.Role != q.Role })
			picked = append(picked, s)
		}
	}
	return picked
}

// lines writes sets for a program: lines of /etc/hosts, variables, servers of a haproxy or nginx backend. An endpoint
// without an address or, but for hosts, a port is left out; one that is in several sets comes once. All that other
// nodes can say is an id, an IP address and a number, so no line can hold more than it should.
func lines(sets []Set, format string) string {
	var b strings.Builder
	for _, name := range namesOf(sets) {
		var addresses []string
		for _, e := range endpoints(sets, name) {
			address := net.JoinHostPort(e.IP, strconv.Itoa(e.Port))
			switch {
			case e.IP == "":
			case format == "hosts":
				fmt.Fprintf(&b, "%s\t%s %s.%s\n", e.IP, name, strings.ReplaceAll(e.Node, "_", "-"), name)
			case e.Port == 0:
			case format == "haproxy":
				fmt.Fprintf(&b, "server %s %s check\n", e.Node, address)
			case format == "nginx":
				fmt.Fprintf(&b, "server %s;\n", address)
			default:
				addresses = append(addresses, address)
			}
		}
		if format == "env" {
			fmt.Fprintf(&b, "%s_ADDRESSES=%s\n", variable(name), strings.Join(addresses, ","))
		}
	}
	return b.String()
}

// variable is the name of a service as a shell takes it in the name of a variable.
func variable(service string) string {
	name := strings.ToUpper(strings.ReplaceAll(service, "-", "_"))
	if name < "A" { // it begins with a digit
		name = "_" + name
	}
	return name
}

// rows are the endpoints for people: service, node, address, role, mode, and since when the node is silent.
func rows(sets []Set) (list [][]string) {
	for _, name := range namesOf(sets) {
		all := endpoints(sets, name)
		for _, e := range all {
			row := []string{name, e.Node, cmp.Or(e.IP, "-"), e.Role, e.Mode, ""}
			if e.IP != "" && e.Port != 0 {
				row[2] = net.JoinHostPort(e.IP, strconv.Itoa(e.Port))
			}
			if !e.Silent.IsZero() {
				row[5] = "silent since " + human.Stamp(e.Silent)
			}
			list = append(list, row)
		}
		if len(all) == 0 {
			list = append(list, []string{name, "-", "no endpoint", "", "", ""})
		}
	}
	return list
}

func namesOf(sets []Set) (names []string) {
	for _, s := range sets {
		names = append(names, s.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// endpoints are those of a service, each once, by node.
func endpoints(sets []Set, name string) (all []presence.Endpoint) {
	for _, s := range sets {
		if s.Service == name {
			all = append(all, s.Endpoints...)
		}
	}
	slices.SortFunc(all, func(a, b presence.Endpoint) int { return strings.Compare(a.Node, b.Node) })
	return slices.CompactFunc(all, func(a, b presence.Endpoint) bool { return a.Node == b.Node })
}
