package nodegroup

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/service"
)

var numberForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// servicesMost is how many services a node can announce.
const servicesMost = 100

// Value is the value of a key, such as "region" or "files", "role"; a null where there is none.
func (g Group) Value(key ...string) strictyaml.Node {
	n := strictyaml.Node{Kind: strictyaml.Map, Fields: g.Fields, Line: g.at.Line, Column: g.at.Column}
	for _, k := range key {
		i := slices.IndexFunc(n.Fields, func(f strictyaml.Field) bool { return f.Key.Text == k })
		if i < 0 {
			return strictyaml.Node{Kind: strictyaml.Null}
		}
		n = n.Fields[i].Value
	}
	return n
}

// Text is the value of a key that takes text; "" where there is none.
func (g Group) Text(key ...string) string {
	if n := g.Value(key...); n.Kind == strictyaml.Text {
		return n.Text
	}
	return ""
}

// RunList is what the role runs: run_list, then post_run_list.
func (g Group) RunList() []strictyaml.Node {
	return slices.Concat(g.Value("run_list").List, g.Value("post_run_list").List)
}

// Autoscale tells whether the group has an Auto Scaling group, and its sizes.
func (g Group) Autoscale() (least, most int, ok bool) {
	n := g.Value("autoscale")
	least, _ = strconv.Atoi(g.Value("autoscale", "node_min").Text)
	most, _ = strconv.Atoi(g.Value("autoscale", "node_max").Text)
	return least, most, n.Kind == strictyaml.Map
}

// Services are the services of the group, in the order of its run list: the recipes of its service_cookbook. ok is
// false where it has no such cookbook.
func (g Group) Services() (nodes []strictyaml.Node, ok bool) {
	cookbook := g.Text("service_cookbook")
	if cookbook == "" {
		return nil, false
	}
	for _, item := range g.RunList() {
		inner := item.Text
		if recipe, ok := strings.CutPrefix(inner, "recipe["); ok {
			inner = strings.TrimSuffix(recipe, "]")
		}
		inner, _, _ = strings.Cut(inner, "@")
		of, name, ok := strings.Cut(inner, "::")
		if of != cookbook || item.Kind != strictyaml.Text {
			continue
		}
		if item.Text = name; !ok {
			item.Text = "default"
		}
		if !slices.ContainsFunc(nodes, func(n strictyaml.Node) bool { return n.Text == item.Text }) {
			nodes = append(nodes, item)
		}
	}
	return nodes, true
}

// target is where a file of the group goes, relative to the folder of the file of groups; "" = nowhere.
func (g Group) target(name string) string {
	path := g.Text("files", name)
	if path == "" {
		for _, k := range fileKeys() {
			if k.name == name {
				path = k.def
			}
		}
	}
	return strings.ReplaceAll(path, "{group}", g.Name)
}

// group checks what keys mean together, with what is inherited. What __base__ says is wrong once, not in each group.
func (c *checker) group(f *File, g Group, keys []key) {
	wrong := func(n strictyaml.Node, key, format string, args ...any) {
		c.wrong(n, strings.TrimSuffix(f.Owner(n)+"."+key, "."), format, args...)
	}
	for _, k := range keys {
		for _, inner := range k.kind.inner() {
			if n := g.Value(k.name); inner.needs && n.Kind == strictyaml.Map && g.Value(k.name, inner.name).Kind == strictyaml.Null {
				wrong(n, k.name, "has no %s: add it", inner.name)
			}
		}
	}
	if n := g.Value("type"); n.Kind == strictyaml.Text && n.Text != "amazon-ebs" && g.Text("packer_template") == "" {
		wrong(n, "type", "is %s, for which addctl has no template: name your own with packer_template", human.Quote(n.Text))
	}
	if least, most, ok := g.Autoscale(); ok && least > most && g.Value("autoscale", "node_max").Kind == strictyaml.Integer {
		wrong(g.Value("autoscale", "node_min"), "autoscale.node_min", "is %d, above node_max, which is %d", least, most)
	}
	if n := g.Value("image"); n.Kind == strictyaml.Text && n.Text == "source" && g.Value("source_ami").Kind == strictyaml.Null {
		wrong(n, "image", "is source, and the group has no source_ami: add it")
	}
	if g.Text("packer_template") == "" && g.Text("packer_format") != "json" {
		for _, field := range g.Value("packer").Fields {
			if name := field.Key.Text; !slices.Contains(packerFields(), name) && !extension(name) && field.Value.Kind != strictyaml.Null && !taken(keys, "packer", name) {
				wrong(field.Key, "packer."+name, "%s", notRead(name))
			}
		}
	}
	services, _ := g.Services()
	for _, s := range services {
		if !service.ValidName(s.Text) {
			wrong(s, "run_list", "%s cannot be the name of a service: small letters, digits and -, at most 63; rename the recipe, or move it to another cookbook than the service_cookbook", human.Quote(s.Text))
		}
	}
	if len(services) > servicesMost {
		wrong(g.at, "", "has %s, and a node announces at most %d: make two groups of it", human.Count(len(services), "service"), servicesMost)
	}
}

// taken tells whether a field of a key is set by another key, which was reported.
func taken(keys []key, name, field string) bool {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	return slices.ContainsFunc(keys[i].kind.taken, func(t string) bool { return strings.HasPrefix(t, field+"=") })
}

// notRead says what is wrong with a field of a builder.
func notRead(name string) string {
	if near := strictyaml.Nearest(name, packerFields()); near != "" {
		return "the template of addctl does not read it: did you mean " + near + "?"
	}
	return "the template of addctl does not read it: use packer_format json, or your own packer_template"
}

var generationForm = regexp.MustCompile(`^(.+)-v([2-9]|[1-9][0-9]+)$`)

// names finds groups that would have the same name in AWS, or the same file.
func (c *checker) names(f *File) {
	inAWS, files := map[string]string{}, map[string]string{filepath.Base(f.Path): "the file of groups itself"}
	for _, name := range []string{"group.pkr.hcl", "plugins.pkr.hcl", "bake", "seal"} {
		files["packer/"+name] = "a file that addctl writes for Packer"
	}
	for _, g := range f.Groups {
		name := g.AWSName()
		if other := inAWS[name]; other != "" {
			c.wrong(g.at, g.Name, "is called %s in AWS, and so is %s: rename one, or change its node.deployment", name, other)
		}
		inAWS[name] = g.Name
	}
	names := map[string]bool{}
	for _, g := range f.Groups {
		names[g.Name] = true
		files["packer/"+g.Name+".json"], files["packer/"+g.Name+".pkrvars.json"] = "a file for Packer of "+g.Name, "a file for Packer of "+g.Name
	}
	for _, g := range f.Groups {
		if m := generationForm.FindStringSubmatch(g.Name); m != nil && names[m[1]] {
			c.wrong(g.at, g.Name, "is the name of generation %s of the group %s: rename one of them", m[2], m[1])
		} else if m := generationForm.FindStringSubmatch(g.AWSName()); m != nil && inAWS[m[1]] != "" {
			c.wrong(g.at, g.Name, "is called %s in AWS, as generation %s of the group %s: rename one of them", g.AWSName(), m[2], inAWS[m[1]])
		}
		for _, k := range fileKeys() {
			path := g.target(k.name)
			if path == "" {
				continue
			}
			mine := "files." + k.name + " of " + g.Name
			if other := files[path]; other != "" {
				n := g.Value("files", k.name)
				if n.Line == 0 {
					n = g.at
				}
				c.wrong(n, g.Name+".files."+k.name, "is %s, and so is %s: write another path", human.Quote(path), other)
			}
			files[path] = mine
		}
	}
}

// AWSName is what the launch template and the first Auto Scaling group are called.
func (g Group) AWSName() string {
	if d := g.Text("node", "deployment"); d != "" {
		return d + "-" + g.Name
	}
	return g.Name
}

// notes finds what is allowed, and is often a slip.
func (c *checker) notes(f *File) {
	for _, s := range f.sections {
		if extension(s.Key.Text) && s.Value.Kind == strictyaml.Map && slices.ContainsFunc(s.Value.Fields, func(k strictyaml.Field) bool { return k.Key.Text == "run_list" }) {
			c.wrong(s.Key, s.Key.Text, "is not a group, because its name begins with x-")
		}
	}
	for _, g := range f.Groups {
		seen := map[string]strictyaml.Node{}
		for _, item := range g.RunList() {
			if before, twice := seen[item.Text]; twice {
				c.wrong(item, f.Owner(item)+".run_list", "repeats %s, first at %d:%d: Chef runs it once, where it is first", item.Text, before.Line, before.Column)
				continue
			}
			seen[item.Text] = item
			role, ok := strings.CutPrefix(item.Text, "role[")
			role = strings.TrimSuffix(role, "]")
			switch made := slices.ContainsFunc(f.Groups, func(o Group) bool { return "role-"+o.Name == role }); {
			case role == "role-"+g.Name:
				c.wrong(item, f.Owner(item)+".run_list", "the group lists its own role")
			case ok && made:
			case ok:
				c.wrong(item, f.Owner(item)+".run_list", "%s is a role that addctl does not make: chef-solo needs roles/%s.json, and its recipes are no services of the group", item.Text, role)
			}
		}
	}
}
