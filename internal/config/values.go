package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
)

func checkPath(s string) string {
	switch {
	case s == "":
		return "is empty: write a path, or remove the key"
	case s == "~" || strings.HasPrefix(s, "~/"):
		return "~ is not expanded: write the whole path"
	case !filepath.IsAbs(s):
		return human.Quote(s) + " is not an absolute path: begin it with /"
	case odd(s):
		return "contains a control character"
	}
	return ""
}

func odd(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// checkRepoName takes the name of a folder below gitrepo/. A colon separates repository and item in commands.
func checkRepoName(s string) string {
	if s == "" || len(s) > 100 || strings.ContainsAny(s, `/\:`) || odd(s) || strings.ContainsFunc(s, unicode.IsSpace) ||
		strings.HasPrefix(s, ".") || strings.HasPrefix(s, "-") || strings.Contains(s, "..") {
		return human.Quote(s) + " is not a plain folder name: use at most 100 characters, without slashes, colons, spaces and double dots, " +
			"and do not begin with a dot or dash"
	}
	return ""
}

// RepoName is the default name of a repository: the last part of its URL, without .git.
func RepoName(rawURL string) string {
	s := strings.TrimRight(rawURL, "/")
	s = s[strings.LastIndexAny(s, "/:")+1:]
	return strings.TrimSuffix(s, ".git")
}

// checkURL takes the URL of a repository. No problem quotes it: it may contain a secret.
func checkURL(s string) string {
	if _, err := address.Check(s); err != nil {
		return err.Error()
	}
	return ""
}

// field is what FillBranch replaces.
var field = regexp.MustCompile(`\{([A-Za-z0-9][A-Za-z0-9_.-]*)\}`)

func checkBranch(s string) string {
	if s == "" {
		return ""
	}
	filled := field.ReplaceAllString(s, "x")
	if strings.ContainsAny(filled, "{}") {
		return human.Quote(s) + " is not understood: a field of nodeinfo is written {deployment}"
	}
	return checkRef(filled)
}

func checkRef(s string) string {
	if odd(s) || len(s) > 200 {
		return human.Quote(s) + " cannot be the name of a branch: use at most 200 characters of UTF-8"
	}
	if err := address.CheckBranch(s); err != nil {
		return human.Quote(s) + " cannot be the name of a branch: " + err.Error()
	}
	return ""
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
	if problem := checkRef(filled); filled != "" && problem != "" {
		return "", fmt.Errorf("branch %q: %s", branch, problem)
	}
	return filled, nil
}
