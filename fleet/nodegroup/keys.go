package nodegroup

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// The forms of names. A group becomes a Chef role, a nodepart and names in AWS; an item of a run list is what a Chef
// server takes.
var (
	filled       = regexp.MustCompile(`\S`)
	groupForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	itemForm     = regexp.MustCompile(`^(recipe\[` + recipe + `\]|role\[[A-Za-z0-9_.-]+\]|` + recipe + `)$`)
	cookbookForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	accountForm  = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	amiForm      = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$`)
	imageForm    = regexp.MustCompile(`^(newest|source|ami-[0-9a-f]{8,17})$`)
	subnetForm   = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	instanceForm = regexp.MustCompile(`^[a-z0-9-]+\.[a-z0-9-]+$`)
	builderForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	plainForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	userForm     = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	sourceForm   = regexp.MustCompile(`^(ssm:|secretsmanager:|s3://|file:|/).+$`)
	packageForm  = regexp.MustCompile(`^[^\pC]*[^/\pC]\.(deb|rpm)$`)
	tagForm      = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
)

const recipe = `[A-Za-z0-9_.-]+(::[A-Za-z0-9_.-]+)?(@[0-9]+\.[0-9]+(\.[0-9]+)?)?`

// most is the largest number of instances that a group may have: a number above it is a slip.
const most = 10_000

// groupKeys is the one table of what a group may have: the check, the schema and docs/nodes.md are made of it.
func groupKeys() []key {
	attributes := maps("a map of Chef attributes", nil)
	items := lists("a list of recipes and roles, as in [ \"recipe[sudo]\", \"role[base]\" ]",
		checked("recipe[cookbook::recipe], role[name] or cookbook::recipe", itemForm, checkItem))
	path := checked("the path of a file", filled, checkPath)
	return []key{
		{name: "description", kind: shape{takes: "text", what: strictyaml.Text}, doc: "What the group is for. It becomes the description of the role."},
		{name: "default_attributes", kind: attributes, def: "{}", doc: "Chef's default attributes of the role."},
		{name: "override_attributes", kind: attributes, def: "{}", doc: "Chef's override attributes of the role."},
		{name: "run_list", kind: items, def: "[]", doc: "The run list of the role."},
		{name: "post_run_list", kind: items, def: "[]", doc: "What the role runs after all of `run_list`, that of `__base__` and that of the group."},
		{name: "files", kind: knownKeys("a map of paths", fileKeys()...), doc: "Where files go, relative to the file of groups. `{group}` is the name of the group, `{id}` the id of an instance."},
		{name: "service_cookbook", kind: formed("the name of a cookbook", cookbookForm), doc: "The cookbook whose recipes are services: with `seatgeek-service`, " +
			"`recipe[seatgeek-service::api-workers]` in the run list makes `api-workers` a service of the group. Without it the group has no services."},

		{name: "account", kind: formed("the 12 digits of an AWS account as text", accountForm), doc: "The AWS account. Any other one is refused before the first call."},
		{name: "region", kind: formed("an AWS region, as in us-east-1", regionForm), doc: "The AWS region. Everything in AWS needs it."},
		{name: "type", kind: formed("the name of a builder of Packer, as in amazon-ebs", builderForm), def: "amazon-ebs", doc: "The builder of Packer. Another one than `amazon-ebs` needs a `packer_template`."},
		{name: "source_ami", kind: either(formed("the id of an image, as in ami-1ebb2077,", amiForm), knownKeys("{ name, owner }",
			key{name: "name", kind: anyText("the name of images, with * for anything"), doc: "The name of the images; `*` stands for anything.", needs: true},
			key{name: "owner", kind: anyText("an account, self or amazon"), doc: "Who owns them: an account, `self` or `amazon`.", needs: true},
		)), doc: "The image to begin with: an id, or `{ name, owner }` for the newest image of that name."},
		{name: "ssh_username", kind: formed("the name of an account of the image", userForm), def: "ubuntu", doc: "The account by which Packer enters the source image."},
		{name: "agent_package", kind: checked("the path of a .deb or .rpm, or a pattern", packageForm, nil), doc: "The .deb or .rpm of addagent to install, also as a pattern (`dist/addagent_*_amd64.deb`). Without it `source_ami` already contains addagent."},
		{name: "bake", kind: lists("a list of paths", path), def: "[]", doc: "Scripts that run as root in the image before it is sealed, in this order."},
		{name: "packer", kind: shape{takes: "a map of fields of the builder", what: strictyaml.Map, taken: []string{
			"access_key=Packer finds credentials as the AWS CLI does", "secret_key=Packer finds credentials as the AWS CLI does", "token=Packer finds credentials as the AWS CLI does",
			"source_ami=use source_ami of the group", "region=use region of the group", "ssh_username=use ssh_username of the group", "ami_name=addctl names images",
		}}, def: "{}", doc: "More fields of Packer's builder, such as `subnet_id`, `instance_type`, `ami_regions` or `encrypt_boot`."},
		{name: "packer_template", kind: path, doc: "Your own template, in place of that of addctl."},
		{name: "packer_format", kind: oneOf("hcl", "json"), def: "hcl", doc: "What `packer:create` writes: `hcl` = a file of variables and one template for all groups, `json` = a template for each group."},
		{name: "image", kind: formed("newest, source or the id of an image", imageForm), def: "newest", doc: "The image to launch: the `newest` of the group, `source` = `source_ami` as it is, or an id."},
		{name: "instance_type", kind: formed("a type of instances, as in m1.large", instanceForm), doc: "The type of the instances."},
		{name: "security_groups", kind: lists("a list of ids or names", anyText("the id or name of a security group")), def: "[]", doc: "Security groups by id, or by name within the VPC of the subnets."},
		{name: "subnets", kind: lists("a list of ids", formed("the id of a subnet, as in subnet-0a1b2c3d", subnetForm)), doc: "The subnets. Without them, those of the default VPC."},
		{name: "key_name", kind: anyText("the name of a key pair"), doc: "The key pair of the instances."},
		{name: "instance_profile", kind: anyText("the name or ARN of an instance profile"), doc: "The instance profile, which gives a node its permissions."},
		{name: "tags", kind: shape{takes: "a map of tags: at most 128 letters, digits, spaces and _.:/=+-@", what: strictyaml.Map, names: tagForm,
			values: &shape{takes: "text", what: strictyaml.Text, most: 256}, taken: []string{"group=addctl sets it", "Name=addctl sets it", "add:deployment=use node.deployment",
				"add:nodepart=it is the name of the group", "add:stacktype=use node.stacktype", "add:state=the node sets it"}}, def: "{}", doc: "More tags of everything that is made for the group."},
		{name: "node", kind: knownKeys("a map of what a node needs to know", nodeKeys()...), doc: "What `addagent-bootstrap` is told on a new node. None of it is a secret. The nodepart is the name of the group."},
		{name: "autoscale", kind: either(shape{takes: "false", what: strictyaml.Bool, words: []string{"false"}}, knownKeys("{ node_min, node_max, timeout }",
			key{name: "node_min", kind: integer(0, most, ""), doc: "The fewest instances.", needs: true},
			key{name: "node_max", kind: integer(0, most, ""), doc: "The most instances.", needs: true},
			key{name: "timeout", kind: integer(0, 86_400, " of seconds"), def: "120", doc: "How many seconds old nodes stay beside new ones that are up."},
		)), def: "false", doc: "`false`, or the size of the Auto Scaling group."},
		{name: "launch_template", kind: shape{takes: "a map of fields of AWS", what: strictyaml.Map, taken: []string{
			"ImageId=use image", "InstanceType=use instance_type", "SecurityGroups=use security_groups", "SecurityGroupIds=use security_groups", "KeyName=use key_name",
			"IamInstanceProfile=use instance_profile", "UserData=use node", "TagSpecifications=use tags"}},
			def: "{}", doc: "More fields of the launch template, as AWS's API names them (`BlockDeviceMappings`)."},
		{name: "autoscaling_group", kind: shape{takes: "a map of fields of AWS", what: strictyaml.Map, taken: []string{
			"AutoScalingGroupName=addctl names it", "LaunchTemplate=addctl makes it", "LaunchConfigurationName=addctl makes a launch template", "MinSize=use autoscale.node_min",
			"MaxSize=use autoscale.node_max", "DesiredCapacity=addctl sets it", "VPCZoneIdentifier=use subnets", "AvailabilityZones=use subnets", "Tags=use tags"}},
			def: "{}", doc: "More fields of the Auto Scaling group, as AWS's API names them (`TargetGroupARNs`)."},
		{name: "scaling_policies", kind: lists("a list of PutScalingPolicy of AWS", shape{takes: "a map of fields of AWS", what: strictyaml.Map, taken: []string{"AutoScalingGroupName=addctl sets it"}}),
			def: "[]", doc: "Scaling policies, as `PutScalingPolicy` of AWS's API takes them."},
	}
}

func fileKeys() []key {
	path := func(marks ...string) shape {
		return checked("a path below the folder of this file, with "+human.List(marks, "and"), filled, func(s string) error { return checkTarget(s, marks) })
	}
	return []key{
		{name: "role", kind: path("{group}"), def: "roles/role-{group}.json", doc: "The Chef role. chef-solo finds a role by the name of its file, so `roles/{group}.json` suits a Chef server only."},
		{name: "dna", kind: path("{group}"), def: "dna/asg/{group}.json", doc: "The DNA file of the Auto Scaling group."},
		{name: "instance_dna", kind: path("{group}", "{id}"), def: "dna/instance/{group}-{id}.json", doc: "The DNA file of an instance that was made by itself."},
		{name: "services", kind: path("{group}"), doc: "The list of the group's services for nodes, such as `nodework/part/{group}/services.yaml`. Without it no list is written."},
	}
}

func nodeKeys() []key {
	name := formed("one plain name", plainForm)
	url := checked("the URL of a repository", filled, checkURL)
	source := checked("the place of a secret", sourceForm, checkSource)
	repos := maps("a map of names and URLs", &url)
	repos.names = plainForm
	return []key{
		{name: "deployment", kind: name, doc: "The deployment of the nodes."},
		{name: "stacktype", kind: name, doc: "The stacktype of the nodes."},
		{name: "initgitrepo", kind: name, doc: "The repository that holds `nodeinit/`."},
		{name: "repos", kind: repos, doc: "The work repositories: name and URL."},
		{name: "presence", kind: url, doc: "The presence repository."},
		{name: "key_from", kind: source, doc: "Where a node finds the ssh key of the repositories."},
		{name: "token_from", kind: source, doc: "Where a node finds the token of the repositories."},
		{name: "chat_url_from", kind: source, doc: "Where a node finds the URL of a chat room."},
		{name: "known_hosts", kind: source, doc: "Where a node finds the servers' ssh keys."},
		{name: "config", kind: maps("a map of the agent's config", nil), doc: "Config of the agent, with the keys of docs/config.md."},
	}
}

// checkItem takes what a Chef server takes in a run list.
func checkItem(s string) error {
	switch inner, isRole := strings.CutPrefix(s, "role["); {
	case itemForm.MatchString(s):
		return nil
	case isRole && strings.Contains(s, "::"):
		return errors.New("is " + human.Quote(s) + ", and no role has :: in its name: did you mean recipe[" + human.Truncate(inner, 60) + "?")
	}
	return errors.New("is " + human.Quote(s) + ", which Chef does not accept: write recipe[cookbook::recipe], recipe[cookbook::recipe@1.2.3], role[name] or cookbook::recipe")
}

// checkURL takes the URL of a repository. The message repeats no part of it: it may hold a secret.
func checkURL(s string) error {
	_, err := address.Check(s)
	if err != nil && strings.HasPrefix(err.Error(), "contains a") && strings.Contains(s, "@") {
		return errors.New("contains a user or a password, and everyone can read this file: remove it, and use key_from or token_from")
	}
	return err
}

// checkSource takes the place of a secret. What is written in its stead may be the secret, so it is not repeated.
func checkSource(s string) error {
	if !sourceForm.MatchString(s) {
		return errors.New("must be the place of a secret, not the secret: ssm:NAME, secretsmanager:NAME, s3://BUCKET/KEY or file:/PATH")
	}
	return nil
}

// checkPath takes a path of a file that is read.
func checkPath(s string) error {
	if strings.TrimSpace(s) == "" || strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("is not the path of a file")
	}
	return nil
}

// checkTarget takes a path of a file that is written, so it must lead nowhere else, and name each group apart.
func checkTarget(s string, marks []string) error {
	plain := s
	for _, m := range marks {
		if !strings.Contains(s, m) {
			return errors.New("has no " + m + ": all groups would have the same file")
		}
		plain = strings.ReplaceAll(plain, m, "x")
	}
	switch {
	case strings.ContainsAny(plain, "{}"):
		return errors.New("holds braces that stand for nothing: it takes " + human.List(marks, "and"))
	case checkPath(s) != nil || strings.ContainsRune(s, '\\') || strings.HasSuffix(s, "/") || filepath.Clean(plain) != plain || !filepath.IsLocal(plain):
		return errors.New("is " + human.Quote(s) + ", must be a plain path below the folder of this file, without .. and a slash at its begin or end")
	}
	return nil
}
