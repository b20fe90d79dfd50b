package house

import (
	"fmt"
	"go/doc"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// imports is what a package imports of ours ("*" is anything), and which of the outsiders that few packages may import.
type imports struct{ ours, heavy string }

// importTable is who may import whom, from top to bottom. It is in ARCHITECTURE.md too: UPDATE=1 writes it there.
var importTable = []struct {
	area     string
	packages map[string]imports
}{
	{"commands", map[string]imports{
		"cmd/addagent": {"*", "github.com/spf13/cobra"},
		"cmd/addctl":   {"*", "github.com/spf13/cobra"},
	}},
	{"the process", map[string]imports{
		"internal/check": {`
			internal/chat internal/chat/chatroom internal/cli internal/cloud internal/cloud/ec2 internal/config
			internal/daemon internal/git/remote internal/git/transport internal/human internal/journal internal/kill
			internal/metrics internal/node internal/proc internal/request internal/status presence presence/gitstore presence/peers
			service/tree work work/run`, ""},
		"internal/cli":         {"", "github.com/spf13/cobra"},
		"internal/cli/clitest": {"internal/testkit", "github.com/spf13/cobra"},
		"internal/daemon": {`
			agent internal/chat internal/chat/chatroom internal/cli internal/cloud internal/cloud/ec2 internal/config
			internal/config/diff internal/files internal/git/address internal/git/clone internal/git/objects internal/git/remote
			internal/git/transport internal/git/worktree internal/human internal/journal internal/kill
			internal/metrics internal/node internal/request internal/schedule internal/sink presence presence/gitstore
			presence/peers service/offer
			systemd work work/run`, "github.com/robfig/cron"},
		"internal/memlimit": {"internal/human", ""},
		"internal/request": {`
			internal/cli internal/config internal/files internal/git/remote internal/human internal/journal internal/node internal/proc
			presence presence/gitstore work/run service`, ""},
		"internal/status": {`
			internal/cli internal/config internal/files internal/human internal/journal internal/node internal/proc
			service work work/run`, ""},
	}},
	{"the beat and work", map[string]imports{
		"agent": {`
			internal/files internal/human internal/journal internal/node internal/schedule internal/sink internal/trouble
			presence service/offer work work/run`, ""},
		"internal/config":      {"internal/files internal/git/address internal/human internal/strictyaml", ""},
		"internal/config/diff": {"internal/config", ""},
		"internal/journal":     {"internal/config internal/files internal/human internal/node presence work work/run", "github.com/rs/zerolog gopkg.in/natefinch/lumberjack.v2"},
		"internal/node":        {"internal/files internal/human", ""},
		"systemd":              {"", "github.com/coreos/go-systemd"},
		"service":              {"internal/human internal/strictyaml", ""},
		"service/offer":        {"internal/files internal/git/objects internal/human internal/journal internal/node internal/proc presence service service/tree work work/session", ""},
		"service/tree":         {"internal/git/objects internal/human internal/strictyaml service", ""},
		"work":                 {"internal/files internal/git/objects internal/human internal/retry internal/strictyaml service service/tree work/sets", ""},
		"work/sets":            {"internal/human internal/strictyaml", ""},
		"work/run":             {"internal/files internal/human internal/retry work work/session", ""},
		"work/session":         {"internal/human", ""},
	}},
	{"fleet and presence", map[string]imports{
		"fleet/control": {`
			fleet/event fleet/handler fleet/view internal/chat internal/chat/chatroom internal/cli internal/config internal/files
			internal/git/remote internal/git/transport internal/human internal/node internal/trouble presence
			presence/fold presence/gitstore systemd`, ""},
		"fleet/doctor":             {"fleet/event internal/git/remote internal/human internal/retry presence presence/fold presence/gitstore", ""},
		"fleet/event":              {"internal/human internal/retry internal/strictyaml presence presence/fold presence/history service", ""},
		"fleet/handler":            {"fleet/event internal/files internal/git/clone internal/git/remote internal/human internal/strictyaml work/session", ""},
		"fleet/fleettest":          {"internal/node presence presence/gitstore", ""},
		"fleet/nodegroup":          {"internal/config internal/files internal/git/address internal/human internal/strictyaml packer service", ""},
		"fleet/nodegroup/deploy":   {"internal/human internal/node internal/retry presence presence/gitstore", ""},
		"fleet/nodegroup/groupcmd": {"fleet/nodegroup fleet/nodegroup/deploy fleet/view internal/cli internal/config internal/human", "github.com/spf13/cobra"},
		"fleet/web":                {"fleet/event fleet/web/page internal/files internal/human presence presence/fold", ""},
		"fleet/web/page":           {"", ""},
		"fleet/web/page/join":      {"", ""},
		"fleet/web/webcmd":         {"fleet/control fleet/doctor fleet/event fleet/web internal/cli internal/human presence", "github.com/spf13/cobra"},
		"fleet/view":               {"fleet/event internal/human internal/node presence presence/fold presence/history service", ""},
		"presence":                 {"internal/human internal/node service", ""},
		"presence/fold": {`
			internal/files internal/git/clone internal/git/objects internal/git/remote internal/human internal/node
			presence presence/gitstore presence/fold/page presence/history presence/index`, ""},
		"presence/fold/page": {"internal/human presence", ""},
		"presence/gitstore": {`
			internal/files internal/git/objects internal/git/remote internal/git/transport internal/human internal/node
			internal/retry presence service`, ""},
		"presence/history": {"internal/human internal/node presence presence/fold/page service", ""},
		"presence/index":   {"internal/git/objects internal/git/remote presence presence/gitstore service", ""},
		"presence/peers":   {"internal/config internal/files internal/git/remote internal/human presence presence/fold service work", ""},
	}},
	{"telling", map[string]imports{
		"internal/chat":            {"internal/files internal/human internal/retry internal/secret", "github.com/nicholas-fedor/shoutrrr"},
		"internal/chat/chatroom":   {"internal/chat internal/config internal/files", ""},
		"internal/chat/chattest":   {"internal/chat", ""},
		"internal/cloud":           {"internal/human internal/secret", ""},
		"internal/cloud/account":   {"fleet/doctor fleet/event internal/cloud internal/cloud/ec2 internal/config internal/git/transport internal/human", "github.com/aws github.com/aws/smithy-go"},
		"internal/cloud/cloudtest": {"", ""},
		"internal/cloud/ec2":       {"internal/cloud internal/human internal/retry internal/secret", "github.com/aws"},
		"internal/kill":            {"internal/files internal/human", ""},
		"internal/metrics":         {"internal/files internal/journal internal/node", ""},
		"internal/sink":            {"internal/chat internal/files internal/human internal/node internal/retry presence service", ""},
		"internal/sink/sinktest":   {"internal/node internal/sink presence", ""},
	}},
	{"git", map[string]imports{
		"internal/git/address": {"internal/human", ""},
		"internal/git/clone": {`internal/files
			internal/git/address internal/git/diskspace internal/git/objects internal/git/pack internal/git/protocol internal/git/refs
			internal/git/remote internal/git/transport internal/git/worktree internal/human`, "github.com/go-git"},
		"internal/git/diskspace": {"internal/git/objects internal/git/pack internal/human", "github.com/go-git"},
		"internal/git/refs":      {"internal/files internal/git/objects internal/git/pack internal/git/transport internal/git/worktree", "github.com/go-git"},
		"internal/git/gittest":   {"internal/testkit", ""},
		"internal/git/objects":   {"internal/files internal/git/pack", "github.com/go-git"},
		"internal/git/pack":      {"internal/files", "github.com/go-git github.com/pjbgf/sha1cd"},
		"internal/git/protocol":  {"internal/human internal/retry internal/secret", ""},
		"internal/git/remote": {`
			internal/files internal/git/address internal/git/objects internal/git/pack internal/git/protocol
			internal/git/transport internal/human internal/retry`, ""},
		"internal/git/transport": {"internal/files internal/git/address internal/git/protocol internal/human internal/secret", ""},
		"internal/git/worktree":  {"internal/files internal/git/diskspace internal/git/objects internal/git/pack internal/human", "github.com/go-git"},
	}},
	{"ground", map[string]imports{
		"internal/files":      {"", "github.com/gofrs/flock github.com/google/renameio"},
		"internal/human":      {"", ""},
		"internal/proc":       {"", ""},
		"internal/retry":      {"", ""},
		"internal/schedule":   {"", ""},
		"internal/secret":     {"", ""},
		"internal/strictyaml": {"internal/human", "github.com/goccy/go-yaml"},
		"internal/testkit":    {"", ""},
		"internal/trouble":    {"internal/human", ""},
	}},
	{"outside the product", map[string]imports{
		"demo":           {"", ""},
		"demo/stand-in":  {"", ""},
		"packer":         {"", ""},
		"packaging":      {"", ""},
		"packaging/sbom": {"", ""},
		"test/bench":     {"*", ""},
		"test/boot":      {"", ""},
		"test/page":      {"", ""},
		"test/servers":   {"", ""},
		"test/torture":   {"", ""},
	}},
}

// TestAgentIsOfANode: addagent contains nothing of the fleet, and no client of an AWS service.
func TestAgentIsOfANode(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/addagent").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		if strings.Contains(path, "/addagent/fleet/") || strings.Contains(path, "/internal/cloud/account") || strings.Contains(path, "aws-sdk-go-v2/service/") {
			t.Errorf("addagent contains %s", path)
		}
	}
}

func TestImportTable(t *testing.T) {
	may, heavy := map[string]imports{}, map[string]bool{}
	for _, a := range importTable {
		maps.Copy(may, a.packages)
		for _, p := range a.packages {
			for _, h := range strings.Fields(p.heavy) {
				heavy[h] = true
			}
		}
	}
	used := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if s.dir == "." || s.test() {
			continue
		}
		if used[s.dir] == nil {
			used[s.dir] = map[string]bool{}
		}
		allowed, known := may[s.dir]
		if !known {
			t.Errorf("package %s is not in the import table: add it to its area, with what it imports", s.dir)
			continue
		}
		for _, imp := range s.file.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if rest, ours := strings.CutPrefix(p, module+"/"); ours {
				used[s.dir][rest] = true
				if rest == "internal/testkit" && s.product() {
					t.Errorf("%s/%s imports %s, which is for tests", s.dir, s.name, rest)
				}
				if allowed.ours != "*" && !slices.Contains(strings.Fields(allowed.ours), rest) {
					t.Errorf("%s/%s imports %s, which the import table does not allow", s.dir, s.name, rest)
				}
				continue
			}
			for h := range heavy {
				if (p == h || strings.HasPrefix(p, h+"/")) && !slices.Contains(strings.Fields(allowed.heavy), h) {
					t.Errorf("%s/%s imports %s, which is not its business", s.dir, s.name, p)
				}
			}
		}
	}
	for p, allowed := range may {
		if used[p] == nil {
			t.Errorf("the import table has %s, which is not a package", p)
		}
		for _, name := range strings.Fields(allowed.ours) {
			if name != "*" && !used[p][name] {
				t.Errorf("the import table lets %s import %s, which it does not need", p, name)
			}
		}
	}
}

// TestImportTableInDocs keeps the table of ARCHITECTURE.md: what each package is for, by the first sentence of its
// comment, and what it imports.
func TestImportTableInDocs(t *testing.T) {
	purpose := map[string]string{}
	for _, s := range sources(t) {
		if text := s.file.Doc.Text(); !s.test() && text != "" {
			_, text, _ = strings.Cut(strings.TrimPrefix(text, "Package "), " ") // without the name
			purpose[s.dir] = strings.TrimSuffix(new(doc.Package).Synopsis(text), ".")
		}
	}
	var b strings.Builder
	b.WriteString("| package | what it is for | imports of ours | and of others |\n|---|---|---|---|\n")
	for _, a := range importTable {
		fmt.Fprintf(&b, "| **%s** | | | |\n", a.area)
		for _, p := range slices.Sorted(maps.Keys(a.packages)) {
			ours := strings.Join(strings.Fields(strings.ReplaceAll(a.packages[p].ours, "internal/", "")), ", ")
			others := strings.ReplaceAll(a.packages[p].heavy, "github.com/", "")
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p, purpose[p], strings.Replace(ours, "*", "anything", 1), strings.ReplaceAll(others, " ", ", "))
		}
	}
	testkit.Section(t, "ARCHITECTURE.md", "import table", b.String())
}
