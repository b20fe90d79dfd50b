package nodegroup

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/packer"
)

// TestNotesPacker: both forms of the example of the notes, the same from YAML, and Packer takes them.
func TestNotesPacker(t *testing.T) {
	f, y := notesFile(t, "nodes.json"), notesFile(t, "nodes.yaml")
	for i, g := range f.Groups {
		wants, err := g.PackerFiles(f.Dir)
		testkit.Must(t, err)
		others, err := y.Groups[i].PackerFiles(f.Dir)
		if err != nil || fmt.Sprint(wants) != fmt.Sprint(others) || len(wants) != 5 {
			t.Errorf("%v\n%v\n%v", wants, others, err)
		}
		testkit.Golden(t, filepath.Join("testdata", "notes", wants[0].Path), wants[0].Data)
		validate(t, g)
		g.Fields = append(slices.Clone(g.Fields), member("packer_format", text("json")))
		wants, err = g.PackerFiles(f.Dir)
		testkit.Must(t, err)
		testkit.Golden(t, filepath.Join("testdata", "notes", wants[0].Path), wants[0].Data)
		validate(t, g)
	}
}

// validate lets Packer judge the files of a group, in a folder that has nothing else but what they name.
func validate(t *testing.T, g Group) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, path := range append(texts(g.Value("bake").List), g.Text("agent_package")) {
		if path != "" {
			testkit.Must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755))
			testkit.Must(t, os.WriteFile(filepath.Join(dir, path), nil, 0o644))
		}
	}
	wants, err := g.PackerFiles(dir)
	testkit.Must(t, err)
	f := File{Dir: dir}
	steps, wrong := f.Plan(wants, Always)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	_, err = Write(steps)
	testkit.Must(t, err)
	args := []string{"validate", "-var-file=" + wants[0].Path, "packer/group.pkr.hcl"}
	if strings.HasSuffix(wants[0].Path, g.Name+".json") {
		args = []string{"validate", wants[0].Path}
	}
	cmd := exec.Command("packer", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "PACKER_CONFIG_DIR="+dir, "HOME="+dir, "AWS_EC2_METADATA_DISABLED=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("packer %v: %v\n%s\n%s", args, err, out, wants[0].Data)
	}
	return dir
}

// TestHostilePacker: Packer takes what hostile people write, in both forms, and takes none of it for a template.
func TestHostilePacker(t *testing.T) {
	const hostile = `"a\"b'c ${x} %{y} {{user ` + "`x`" + `}} {{nope}} $(rm) \\ <&> é\u2028"`
	for _, form := range []string{"hcl", "json"} {
		f, problems := parse("nodes.json", []byte(`{"g": {"region": "us-east-1", "description": `+hostile+`, "packer_format": "`+form+`", "source_ami": {"name": `+hostile+`, "owner": "self"},
			"agent_package": "it's {{a}} $(x)/p ${y}.deb", "bake": ["scripts/{{b}}'s.sh", "scripts/$(c) ${d}.sh"], "tags": {"cost centre": `+hostile+`}, "x-own": {"deep": [`+hostile+`, null, 1.50]},
			"packer": {"subnet_id": "subnet-0a1b2c3d", "ami_regions": ["us-east-2"], "encrypt_boot": true, "iam_instance_profile": `+hostile+`, "x-note": 1}}}`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		g := f.Groups[0]
		wants, err := g.PackerFiles(validate(t, g))
		testkit.Must(t, err)
		if data := string(wants[0].Data); strings.Contains(data, "{{nope}}") || strings.Contains(data, "{{a}}") || !strings.Contains(data, "{{`{{`}}nope}}") {
			t.Errorf("%s", data)
		}
	}
}

// TestTemplateReads: the fields of the builder that the check allows are those that the template reads.
func TestTemplateReads(t *testing.T) {
	found := []string{}
	for _, m := range regexp.MustCompile(`local\.packer\.(\w+)`).FindAllStringSubmatch(packer.Template, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	if !slices.Equal(found, packerFields()) {
		t.Errorf("the template reads %v, the check allows %v", found, packerFields())
	}
	if out, err := exec.Command("packer", "fmt", "-check", "../../packer/group").CombinedOutput(); err != nil {
		t.Errorf("packer fmt: %v: %s", err, out)
	}
}

// TestPackerFiles: which files a group has, and what it lacks for them.
func TestPackerFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a_1.deb", "b_1.deb", "b_2.deb"} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	for group, want := range map[string]string{
		`"source_ami": "ami-1ebb2077"`:                                                                 "packer/g.pkrvars.json packer/group.pkr.hcl packer/plugins.pkr.hcl packer/bake packer/seal",
		`"source_ami": "ami-1ebb2077", "packer_format": "json"`:                                        "packer/g.json packer/bake packer/seal",
		`"type": "docker", "packer_template": "own.pkr.hcl", "packer": {"image": "x"}, "region": null`: "packer/g.pkrvars.json",
		`"region": null`: "it has no region and source_ami",
		`"source_ami": "ami-1ebb2077", "agent_package": "b_*.deb"`: `its agent_package "b_*.deb" matches 2 files: it must match one`,
		`"source_ami": "ami-1ebb2077", "agent_package": "c_*.deb"`: `its agent_package "c_*.deb" matches 0 files: it must match one`,
	} {
		f, problems := parse("nodes.json", []byte(`{"__base__": {"region": "us-east-1"}, "g": {`+group+`}}`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		wants, err := f.Groups[0].PackerFiles(dir)
		var got []string
		for _, w := range wants {
			got = append(got, w.Path)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", group, got, want)
		}
	}
	f, _ := parse("nodes.json", []byte(`{"g": {"region": "us-east-1", "source_ami": "ami-1ebb2077", "agent_package": "a_*.deb"}}`))
	wants, err := f.Groups[0].PackerFiles(dir)
	testkit.Must(t, err)
	var file struct {
		Group struct {
			Agent string `json:"agent_package"`
		}
	}
	if err := json.Unmarshal(wants[0].Data, &file); err != nil || file.Group.Agent != "a_1.deb" {
		t.Errorf("%s, %v", wants[0].Data, err)
	}
}
