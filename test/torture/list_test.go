//go:build linux

package torture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// faults are the tests of this package in the order of docs/faults.md, with the number of their cases. What is broken
// on purpose and which invariant holds stands in the comment of each test; TestFaultList makes the document of both.
var faults = []struct {
	test  string
	cases int
	note  string // to the number
}{
	{"TestKilledBetweenWrites", 11, "series, of 14 to 510 points each"},
	{"TestKilledAtRandom", 50, "kills"},
	{"TestKilledWhileTreeMoves", 8, "moves, with one to four kills each"},
	{"TestRestartedAgentAdoptsWork", 4, ""},
	{"TestShimDiesWithoutAgent", 1, ""},
	{"TestUpgradedDuringWork", 5, ""},
	{"TestDiskCopied", 2, ""},
	{"TestStopped", 9, ""},
	{"TestMachineGoesDown", 7, ""},
	{"TestOneAgentANode", 2, ""},
	{"TestBeatsAtOnce", 1, ""},
	{"TestBeatWithWorkInHandElsewhere", 1, ""},
	{"TestStormOfAgents", 3, "storms of twenty"},
	{"TestTwoHomesOneRunFolder", 1, ""},
	{"TestDiskFull", 8, ""},
	{"TestOutOfInodes", 28, ""},
	{"TestHomeReadOnly", 6, ""},
	{"TestStatusOfASilentNode", 4, ""},
	{"TestNoDescriptors", 35, ""},
	{"TestNoProcesses", 24, ""},
	{"TestStateFilesDamaged", 17, ""},
	{"TestNodeinfoEditedBadly", 1, ""},
	{"TestCloneDamaged", 17, ""},
	{"TestBitsFlipped", 64, ""},
	{"TestStrays", 228, ""},
	{"TestServerMisbehaves", 18, ""},
	{"TestLongFirstClone", 2, ""},
	{"TestPackCutEverywhere", 75, ""},
	{"TestAnswersCutAndBentAnywhere", 40, "answers"},
	{"TestHostileTrees", 17, ""},
	{"TestLinksLeadNowhere", 1, ""},
	{"TestOldScripts", 200, "pushes"},
	{"TestScriptsMisbehave", 13, ""},
	{"TestScriptsWreckTheirNode", 25, ""},
	{"TestScriptFillsTheDisk", 3, ""},
	{"TestScriptGoneFromDisk", 2, ""},
	{"TestWedgedAndOut", 1, ""},
	{"TestPlacesAway", 24, ""},
	{"TestKilledWhileTelling", 24, "kills"},
	{"TestLeaves", 10, ""},
	{"TestCloudTakesTheMachine", 3, ""},
	{"TestCronTells", 5, ""},
	{"TestTwoWaysToLive", 16, ""},
	{"TestClockSet", 12, ""},
	{"TestClockSetWhileAllWaits", 12, ""},
	{"TestTwoOfOneName", 1, ""},
	{"TestOthersCannotBeRead", 4, ""},
	{"TestFirstRunMeetsOthers", 6, ""},
	{"TestServicesUnderFire", 40, "steps"},
	{"TestMetricsAway", 3, ""},
	{"TestPlacesChange", 1, ""},
	{"TestLastWordInARoom", 1, ""},
	{"TestSecretsComeLater", 1, ""},
	{"TestCopiedDiskTellsAnew", 1, ""},
	{"TestNobodyEndsWithTheFleet", 2, ""},
	{"TestOneEndsAlone", 2, ""},
}

// listed fails a test whose number of cases is not the one of the list. Each test calls it.
func listed(t *testing.T, cases int) {
	t.Helper()
	for _, f := range faults {
		if f.test == t.Name() && f.cases != cases {
			t.Errorf("%s has %d cases, the list of list_test.go says %d", f.test, cases, f.cases)
		}
	}
}

const faultsHead = `# Faults

Use this page to see which faults ` + "`addagent`" + ` is tested against, and what it guarantees under each. The tests run the real binary
with real git servers, processes, signals and disks. ` + "`go test ./test/torture`" + ` runs all of them; those that need a disk, namespaces or
another user need root or user namespaces.

By default, the tests that kill between two writes use about fifteen points of each series, evenly spread and always the same ones.
` + "`FAULTS=all`" + ` uses every system call with which a beat changes anything, some 2,600 points. A random test prints its seed.

One fault is missing: power cuts that lose unsynced writes need a special disk. A static Go program asks the kernel for the time, so
faketime cannot set its clock: ` + "`TestClockSet`" + ` moves what a node has written down, and the loop of a living agent is tested under
jumps with ` + "`testing/synctest`" + ` in ` + "`agent/clock_test.go`" + `.

` + "`UPDATE=1 go test -run TestFaultList ./test/torture`" + ` makes this table from the list in ` + "`test/torture/list_test.go`" + ` and the comments of
the tests.

| test | what is broken on purpose | invariant (section of the specification) | cases |
|---|---|---|---|
`

// TestFaultList holds the list above against the tests that there are, and docs/faults.md against both.
func TestFaultList(t *testing.T) {
	tests := comments(t)
	invariant := regexp.MustCompile(`^INVARIANT \(spec ([0-9, ]+)\): `)
	var b strings.Builder
	b.WriteString(faultsHead)
	total := 0
	for _, f := range faults {
		text, there := tests[f.test]
		if !there {
			t.Errorf("the list has %s, which is no test any more", f.test)
			continue
		}
		delete(tests, f.test)
		what, holds, _ := strings.Cut(text, "\n\n")
		section := invariant.FindStringSubmatch(holds)
		if section == nil {
			t.Errorf("the comment of %s has no paragraph that begins with INVARIANT (spec N): ", f.test)
			continue
		}
		what = strings.TrimPrefix(one(what), f.test+" ")
		holds = strings.TrimPrefix(one(holds), section[0])
		cases := fmt.Sprint(f.cases)
		if f.note != "" {
			cases += " " + f.note
		}
		total += f.cases
		fmt.Fprintf(&b, "| `%s` | %s | %s (%s) | %s |\n", f.test, strings.ReplaceAll(what, "|", "\\|"), strings.ReplaceAll(holds, "|", "\\|"), section[1], cases)
	}
	for name := range tests {
		t.Errorf("%s is not in the list of list_test.go", name)
	}
	fmt.Fprintf(&b, "\n%d tests, %d cases.\n", len(faults), total)
	path := filepath.Join("..", "..", "docs", "faults.md")
	if read(path) == b.String() || t.Failed() {
		return
	}
	if os.Getenv("UPDATE") != "" {
		write(t, path, b.String())
		return
	}
	t.Error("docs/faults.md is old: UPDATE=1 go test -run TestFaultList ./test/torture")
}

// one is a paragraph in one line.
func one(paragraph string) string { return strings.Join(strings.Fields(paragraph), " ") }

// comments are the comments of all tests of this package but TestFaultList, those for other machines too. It fails for
// a test that does not tell how many cases it has.
func comments(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" || f.Name.Name == "TestFaultList" {
				continue
			}
			all[f.Name.Name] = f.Doc.Text()
			counted := false
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					name, plain := call.Fun.(*ast.Ident)
					counted = counted || plain && name.Name == "listed"
				}
				return true
			})
			if !counted {
				t.Errorf("%s does not call listed with the number of its cases", f.Name.Name)
			}
		}
	}
	return all
}
