package nodegroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/packer"
)

// packerFields are the fields of the builder that our template reads.
func packerFields() []string {
	return []string{"ami_regions", "ami_users", "associate_public_ip_address", "custom_endpoint_ec2", "encrypt_boot", "iam_instance_profile", "instance_type",
		"kms_key_id", "skip_credential_validation", "skip_metadata_api_check", "skip_region_validation", "ssh_host", "ssh_interface", "ssh_keypair_name", "ssh_port",
		"ssh_private_key_file", "ssh_timeout", "subnet_id", "vpc_id"}
}

// ErrMissing is in the error about a file that the image of a group needs.
var ErrMissing = errors.New("what it is made of is not there")

// imageKeys are the keys that say what an image is made of; those of people go along.
func imageKeys() []string {
	return []string{"type", "region", "source_ami", "instance_type", "ssh_username", "agent_package", "bake", "packer", "tags"}
}

// PackerFiles are the files by which Packer makes the image of the group; dir is what their paths are relative to. The
// error says what the group lacks for that.
func (g Group) PackerFiles(dir string) (wants []Want, err error) {
	ours := g.Text("packer_template") == ""
	var lacks []string
	for _, k := range []string{"region", "source_ami"} {
		if ours && g.Value(k).Kind == strictyaml.Null {
			lacks = append(lacks, k)
		}
	}
	if len(lacks) > 0 {
		return nil, errors.New("it has no " + human.List(lacks, "and"))
	}
	agent, err := g.agentPackage(dir)
	if err != nil {
		return nil, err
	}
	for _, script := range g.Value("bake").List {
		path := script.Text
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if at, err := os.Stat(path); err != nil || !at.Mode().IsRegular() {
			return nil, fmt.Errorf("%w: bake: %s is not a file", ErrMissing, path)
		}
	}
	want := func(path string, data []byte) { wants = append(wants, Want{g.Name, "packer", path, data}) }
	if ours && g.Text("packer_format") == "json" {
		want("packer/"+g.Name+".json", encode(g.packerTemplate(agent), "    "))
	} else {
		want("packer/"+g.Name+".pkrvars.json", encode(object(member("group", g.imageOf(agent))), "    "))
		if ours {
			want("packer/group.pkr.hcl", []byte(packer.Template))
			want("packer/plugins.pkr.hcl", []byte(packer.Plugins))
		}
	}
	if ours {
		want("packer/bake", []byte(packer.Bake))
		want("packer/seal", []byte(packer.Seal))
	}
	return wants, nil
}

// agentPackage is the file of agent_package: a pattern must match one.
func (g Group) agentPackage(dir string) (string, error) {
	path := g.Text("agent_package")
	if !strings.ContainsAny(path, "*?[") {
		return path, nil
	}
	base := dir
	if filepath.IsAbs(path) {
		base, path = "/", strings.TrimPrefix(path, "/")
	}
	found := files.Matching(base, path)
	if len(found) != 1 {
		return "", fmt.Errorf("its agent_package %s matches %s: it must match one", human.Quote(path), human.Count(len(found), "file"))
	}
	if base != "/" {
		return filepath.Rel(dir, found[0])
	}
	return found[0], nil
}

// imageOf is all that the image is made of, as one value of Packer.
func (g Group) imageOf(agent string) strictyaml.Node {
	image := object(member("name", text(g.Name)))
	for _, f := range g.Fields {
		if name := f.Key.Text; slices.Contains(imageKeys(), name) || extension(name) {
			if name == "agent_package" {
				f.Value = text(agent)
			}
			image.Fields = append(image.Fields, strictyaml.Field{Key: f.Key, Value: verbatim(f.Value)})
		}
	}
	return image
}

// verbatim keeps Packer from taking text for a template of its own.
func verbatim(n strictyaml.Node) strictyaml.Node {
	if n.Kind == strictyaml.Text {
		n.Text = strings.ReplaceAll(n.Text, "{{", "{{`{{`}}")
	}
	n.List, n.Fields = slices.Clone(n.List), slices.Clone(n.Fields)
	for i, v := range n.List {
		n.List[i] = verbatim(v)
	}
	for i, f := range n.Fields {
		n.Fields[i].Key.Text, n.Fields[i].Value = verbatim(text(f.Key.Text)).Text, verbatim(f.Value)
	}
	return n
}

// packerTemplate is one complete template in Packer's old form. It says the same as packer/group/group.pkr.hcl.
func (g Group) packerTemplate(agent string) strictyaml.Node {
	name := g.Name + ` {{isotime "20060102-150405"}}`
	or := func(def string, key ...string) strictyaml.Node {
		if n := g.Value(key...); n.Kind != strictyaml.Null {
			return verbatim(n)
		}
		return text(def)
	}
	builder := object(
		member("type", or("amazon-ebs", "type")),
		member("region", or("", "region")),
	)
	add := func(key string, n strictyaml.Node) { builder.Fields = append(builder.Fields, member(key, n)) }
	if n := g.Value("source_ami"); n.Kind == strictyaml.Text {
		add("source_ami", n)
	} else {
		add("source_ami_filter", object(
			member("filters", object(member("name", or("", "source_ami", "name")), member("root-device-type", text("ebs")), member("virtualization-type", text("hvm")))),
			member("owners", listOf(or("", "source_ami", "owner"))),
			member("most_recent", strictyaml.Node{Kind: strictyaml.Bool, Text: "true"}),
		))
	}
	if g.Value("packer", "instance_type").Kind == strictyaml.Null {
		add("instance_type", or("t3.small", "instance_type"))
	}
	add("ssh_username", or("ubuntu", "ssh_username"))
	add("ssh_clear_authorized_keys", strictyaml.Node{Kind: strictyaml.Bool, Text: "false"})
	add("ami_name", text(name))
	add("run_tags", object(member("Name", text("bake "+g.Name)), member("group", text(g.Name)), member("addagent:bake", text("yes"))))
	add("run_volume_tags", object(member("addagent:bake", text("yes"))))
	add("tags", object(append(verbatim(g.Value("tags")).Fields, member("group", text(g.Name)), member("Name", text(name)), member("addagent:bake", text("yes")),
		member("addagent:source", text("{{user `source`}}")), member("addagent:commit", text("{{user `commit`}}")))...))
	for _, f := range verbatim(g.Value("packer")).Fields {
		if !extension(f.Key.Text) {
			builder.Fields = append(builder.Fields, f)
		}
	}

	var steps []strictyaml.Node
	upload := func(from, to string) {
		steps = append(steps, object(member("type", text("file")), member("source", verbatim(text(from))), member("destination", text(to))))
	}
	inline := []strictyaml.Node{text(`set -eu; as=; [ "$(id -u)" = 0 ] || as='sudo -n'`)}
	if agent != "" {
		to := "/tmp/agent" + filepath.Ext(agent)
		upload(agent, to)
		inline = append(inline, text("$as sh /tmp/bake "+to+" awscli curl ca-certificates"))
	}
	for i, script := range g.Value("bake").List {
		to := fmt.Sprintf("/tmp/bake-%d", i)
		upload(script.Text, to)
		inline = append(inline, text("chmod 755 "+to+"; $as "+to))
	}
	upload("packer/bake", "/tmp/bake")
	upload("packer/seal", "/tmp/seal")
	inline = append(inline, text("$as sh /tmp/seal /"), text("rm -rf /tmp/bake* /tmp/seal"))
	steps = append(steps, object(member("type", text("shell")), member("inline", listOf(inline...))))
	return object(
		member("variables", object(member("source", text("")), member("commit", text("")))),
		member("builders", listOf(builder)),
		member("provisioners", listOf(steps...)),
	)
}
