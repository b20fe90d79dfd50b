package config

import (
	"path/filepath"
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

func checkBranch(s string) string {
	if err := address.CheckBranchOf(s); err != nil {
		return err.Error()
	}
	return ""
}
