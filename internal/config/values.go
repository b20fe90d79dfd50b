package config

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/human"
)

func checkPath(s string) string {
	switch {
	case s == "":
		return "is empty: write a path, or remove the key"
	case s == "~" || strings.HasPrefix(s, "~/"):
		return "~ is not expanded: write the whole path"
	case !filepath.IsAbs(s):
		return human.Quote(s) + " is no absolute path: begin it with /"
	case odd(s):
		return "holds a control character"
	}
	return ""
}

func odd(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// checkRepoName takes what can be a folder of its own below gitrepo/. The colon parts repository and item in commands.
func checkRepoName(s string) string {
	switch {
	case s == "":
		return "is empty: write the name of a folder"
	case strings.ContainsAny(s, `/\:`) || odd(s) || strings.ContainsFunc(s, unicode.IsSpace):
		return human.Quote(s) + " is no plain folder name: no slash, colon, space or control character"
	case strings.HasPrefix(s, ".") || strings.HasPrefix(s, "-") || strings.Contains(s, ".."):
		return human.Quote(s) + " is no plain folder name: it must not begin with a dot or dash, nor hold two dots in a row"
	case len(s) > 100:
		return "is longer than 100 characters"
	}
	return ""
}

// RepoName gives the name that a repository has by its URL: the last part without .git.
func RepoName(rawURL string) string {
	s := strings.TrimRight(rawURL, "/")
	s = s[strings.LastIndexAny(s, "/:")+1:]
	return strings.TrimSuffix(s, ".git")
}

// protocol is how a repository is reached, as its URL says.
type protocol string

const (
	overHTTP protocol = "http" // https too
	overSSH  protocol = "ssh"  // scp-style too
	overGit  protocol = "git"
	onDisk   protocol = "file" // a path too
)

const urlForms = "use https://, http://, ssh:// or git://host/path, user@host:path, file:///path or an absolute path"

// scpStyle is [user@]host:path.
var scpStyle = regexp.MustCompile(`^(?:([^@/:]+)@)?(\[[0-9a-fA-F:.]+\]|[^@/:\[\]]+):(.*)$`)

func checkURL(s string) string {
	_, problem := parseURL(s)
	return problem
}

// parseURL says how a URL is reached, or what is wrong with it. The answer never quotes the URL: where it is wrong we
// cannot know which part of it is a secret.
func parseURL(s string) (protocol, string) {
	switch {
	case s == "":
		return "", "is empty: " + urlForms
	case odd(s) || strings.ContainsFunc(s, unicode.IsSpace):
		return "", "holds a space or a control character"
	case strings.HasPrefix(s, "/"):
		return onDisk, ""
	case strings.Contains(s, "://"):
		return parseRealURL(s)
	case strings.HasPrefix(s, "~") || strings.HasPrefix(s, "."):
		return "", "a path must be absolute: begin it with /"
	}
	if userPassword.MatchString(s) {
		return "", noPassword
	}
	m := scpStyle.FindStringSubmatch(s)
	if m == nil {
		return "", "is no URL: " + urlForms
	}
	switch host, path := m[2], m[3]; {
	case slices.Contains(schemes(), host):
		return "", "needs two slashes after " + host + ":: " + urlForms
	case path == "" || path == "/":
		return "", "names no repository: " + urlForms
	case strings.HasPrefix(host, "-"):
		return "", "the host begins with a dash"
	}
	return overSSH, ""
}

func schemes() []string { return []string{"https", "http", "ssh", "git", "file"} }

// userPassword is user:password@host:path, which is not of scp-style but is tried as if it were.
var userPassword = regexp.MustCompile(`^[^@/:]+:[^@/]*@[^@/]+:`)

const noPassword = "holds a password: put it in a file and name it in auth.password_file (a token: in auth.token_file), and take it out of the URL"

func parseRealURL(s string) (protocol, string) {
	u, err := url.Parse(s)
	if err != nil {
		return "", "is no URL: " + urlForms // err quotes the URL
	}
	var p protocol
	switch u.Scheme {
	case "https", "http":
		p = overHTTP
	case "ssh":
		p = overSSH
	case "git":
		p = overGit
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return "", "a file URL needs three slashes: file:///path"
		}
		p = onDisk
	default:
		return "", fmt.Sprintf("%s is not understood: %s", human.Quote(u.Scheme+"://"), urlForms)
	}
	if u.User != nil {
		if _, ok := u.User.Password(); ok {
			return "", noPassword
		}
		switch p {
		case overHTTP:
			return "", "holds a user: put a name in auth.username, a token in a file named by auth.token_file"
		case overGit, onDisk:
			return "", "holds a user, which " + u.Scheme + ":// does not know"
		}
	}
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "must not hold ? or #"
	case p != onDisk && u.Hostname() == "":
		return "", "names no host: " + urlForms
	case strings.HasPrefix(u.Hostname(), "-"):
		return "", "the host begins with a dash"
	case strings.Trim(path.Clean(u.Path), "/.") == "":
		return "", "names no repository: " + urlForms
	case !validPort(u.Port()):
		return "", "the port must be between 1 and 65535"
	}
	return p, ""
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return s == "" || err == nil && n >= 1 && n <= 65535
}

// field is what FillBranch fills in.
var field = regexp.MustCompile(`\{([A-Za-z0-9][A-Za-z0-9_.-]*)\}`)

func checkBranch(s string) string {
	if s == "" {
		return ""
	}
	filled := field.ReplaceAllString(s, "x")
	if strings.ContainsAny(filled, "{}") {
		return human.Quote(s) + " is not understood: a field of nodeinfo is written {deployment}"
	}
	if rest, ok := strings.CutPrefix(s, "refs/heads/"); ok {
		return "is written without refs/heads/: use " + rest
	}
	return checkRef(filled)
}

// checkRef is for the name of a branch.
func checkRef(s string) string {
	if badRef(s) {
		return human.Quote(s) + " cannot be the name of a branch"
	}
	return ""
}

// badRef follows git-check-ref-format(1).
func badRef(s string) bool {
	bad := s == "" || s == "@" || odd(s) || len(s) > 200 ||
		strings.ContainsAny(s, " ~^:?*[\\") || strings.Contains(s, "..") || strings.Contains(s, "@{") ||
		strings.HasPrefix(s, "-") || strings.HasSuffix(s, ".")
	for part := range strings.SplitSeq(s, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	return bad
}

// FillBranch puts the fields of nodeinfo (by name, as node.Info has them) into a branch: "{deployment}" becomes
// "fed1". The error names the file that is missing, or whose value makes no branch.
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
	if filled == "" {
		return "", nil
	}
	if problem := checkRef(filled); problem != "" {
		return "", fmt.Errorf("branch %q: %s", branch, problem)
	}
	return filled, nil
}
