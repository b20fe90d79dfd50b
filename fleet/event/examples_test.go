package event

import (
	"os"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestExamples: the files of examples/database are accepted, and each of the chain's eight actions comes after the one
// before.
func TestExamples(t *testing.T) {
	read := func(name string) (string, []byte) {
		data, err := os.ReadFile("../../examples/database/" + name)
		testkit.Must(t, err)
		return name, data
	}
	chain, wrong := ParseActions(read("chain.yaml"))
	if len(wrong) > 0 || len(chain) != 8 {
		t.Errorf("%d actions, %q", len(chain), wrong)
	}
	for i := 1; i < len(chain); i++ {
		if chain[i].After != chain[i-1].ID {
			t.Errorf("%s is after %q", chain[i].ID, chain[i].After)
		}
	}
	if list, wrong := ParseActions(read("restart-master.yaml")); len(wrong) > 0 || len(list) != 1 {
		t.Errorf("%d actions, %q", len(list), wrong)
	}
	if list, wrong := ParseExpected(read("expect.yaml")); len(wrong) > 0 || list[0].Name != chain[0].DoGroup || list[0].IP != chain[1].EventIP {
		t.Errorf("%+v, %q", list, wrong)
	}
}
