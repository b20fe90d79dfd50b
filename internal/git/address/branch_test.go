package address

import "testing"

func TestFillBranch(t *testing.T) {
	fields := map[string]string{"deployment": "fed1", "nodepart": "app1", "bad": "a b", "empty": ""}
	for branch, want := range map[string]string{
		"": "", "main": "main", "{deployment}": "fed1", "d/{deployment}-{nodepart}-{deployment}": "d/fed1-app1-fed1",
	} {
		if got, err := FillBranch(branch, fields); got != want || err != nil {
			t.Errorf("%q: %q, %v", branch, got, err)
		}
	}
	for branch, want := range map[string]string{
		"{stacktype}":     `branch "{stacktype}": write the value into nodeinfo/stacktype.txt`,
		"{empty}/{x}/{x}": `branch "{empty}/{x}/{x}": write the value into nodeinfo/empty.txt and nodeinfo/x.txt`,
		"{bad}":           `branch "{bad}": "a b" cannot be the name of a branch: git does not accept it, see git help check-ref-format`,
	} {
		if got, err := FillBranch(branch, fields); err == nil || err.Error() != want {
			t.Errorf("%q: %q, %v", branch, got, err)
		}
	}
}

func FuzzFillBranch(f *testing.F) {
	f.Add("{deployment}", "fed1")
	f.Add("a/{deployment}", "../x")
	f.Fuzz(func(t *testing.T, branch, value string) {
		filled, err := FillBranch(branch, map[string]string{"deployment": value})
		if err == nil && checkFilled(filled) != nil {
			t.Errorf("%q became %q", branch, filled)
		}
	})
}
