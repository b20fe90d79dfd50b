package address

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/human"
)

// field is what FillBranch replaces.
var field = regexp.MustCompile(`\{([A-Za-z0-9][A-Za-z0-9_.-]*)\}`)

// CheckBranchOf says why the branch of a config, with fields of nodeinfo in it, cannot be used.
func CheckBranchOf(branch string) error {
	filled := field.ReplaceAllString(branch, "x")
	if strings.ContainsAny(filled, "{}") {
		return errors.New(human.Quote(branch) + " is not understood: a field of nodeinfo is written {deployment}")
	}
	return checkFilled(filled)
}

func checkFilled(s string) error {
	if s == "" {
		return nil
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > 200 {
		return errors.New(human.Quote(s) + " cannot be the name of a branch: use at most 200 characters of UTF-8")
	}
	if err := CheckBranch(s); err != nil {
		return fmt.Errorf("%s cannot be the name of a branch: %w", human.Quote(s), err)
	}
	return nil
}

// FillBranch replaces fields of nodeinfo (by name, as in node.Info) in a branch: "{deployment}" becomes "fed1". The
// error names the file that is missing, or the value that cannot be part of a branch.
func FillBranch(branch string, fields map[string]string) (string, error) {
	var missing []string
	filled := field.ReplaceAllStringFunc(branch, func(m string) string {
		name := m[1 : len(m)-1]
		if fields[name] == "" && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		return fields[name]
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("branch %q: write the value into nodeinfo/%s.txt", branch, strings.Join(missing, ".txt and nodeinfo/"))
	}
	if err := checkFilled(filled); err != nil {
		return "", fmt.Errorf("branch %q: %w", branch, err)
	}
	return filled, nil
}
