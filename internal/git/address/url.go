package address

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is how a repository is reached.
type Kind string

// The kinds.
const (
	HTTP  Kind = "http" // https, too
	SSH   Kind = "ssh"  // user@host:path, too
	Git   Kind = "git"
	Local Kind = "file" // a path, too
)

// Endpoint is the URL of a repository, parsed. For HTTP it has only the kind: the URL is used as it is.
type Endpoint struct {
	Kind Kind
	User string // of SSH
	Host string // of SSH and Git, with a port
	Path string // of SSH, Git and Local
}

// Forms are the URLs that Check accepts.
const Forms = "use https://, http://, ssh:// or git://host/path, user@host:path, file:///path or an absolute path"

// Parse reads the URL of a repository in any form that git takes, since clones that people made have them. No error
// quotes it: it may contain a password.
func Parse(raw string) (Endpoint, error) {
	bad := func(why string) (Endpoint, error) { return Endpoint{}, errors.New(why) }
	switch {
	case raw == "":
		return bad("is empty: " + Forms)
	case strings.ContainsFunc(raw, unicode.IsControl):
		return bad("contains a control character")
	case strings.HasPrefix(raw, "/"):
		return Endpoint{Kind: Local, Path: filepath.Clean(raw)}, nil
	case strings.HasPrefix(raw, "~") || strings.HasPrefix(raw, "."):
		return bad("a path must be absolute: begin it with /")
	case !strings.Contains(raw, "://"):
		return parseSCP(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return bad("is not a URL: " + Forms)
	}
	e := Endpoint{Kind: HTTP}
	switch u.Scheme {
	case "http", "https":
	case "ssh", "git+ssh", "ssh+git":
		e = Endpoint{SSH, u.User.Username(), withPort(u.Hostname(), u.Port(), "22"), u.Path}
		if strings.HasPrefix(u.Path, "/~") { // ssh://host/~user/x is below a home
			e.Path = u.Path[1:]
		}
	case "git":
		e = Endpoint{Git, "", withPort(u.Hostname(), u.Port(), "9418"), u.Path}
	case "file":
		if u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") {
			return bad("a file URL needs three slashes: file:///path")
		}
		return Endpoint{Kind: Local, Path: filepath.Clean(u.Path)}, nil
	default:
		return bad(fmt.Sprintf("%q is not understood: %s", u.Scheme+"://", Forms))
	}
	switch {
	case u.Hostname() == "":
		return bad("names no host: " + Forms)
	case strings.HasPrefix(u.Hostname(), "-"):
		return bad("the host begins with a dash")
	case e.Kind != HTTP && strings.Trim(u.Path, "/") == "":
		return bad("names no repository: " + Forms)
	}
	return e, nil
}

// scpStyle is [user@]host:path.
var scpStyle = regexp.MustCompile(`^(?:([^/:]+)@)?(\[[0-9a-fA-F:.]+\]|[^@/:\[\]]+):(.*)$`)

func parseSCP(raw string) (Endpoint, error) {
	m := scpStyle.FindStringSubmatch(raw)
	if m == nil {
		return Endpoint{}, errors.New("is not a URL: " + Forms)
	}
	user, host, path := m[1], m[2], m[3]
	switch {
	case user == "" && slices.Contains([]string{"https", "http", "ssh", "git", "file"}, host):
		return Endpoint{}, fmt.Errorf("needs two slashes after %s:: %s", host, Forms)
	case path == "" || path == "/":
		return Endpoint{}, errors.New("names no repository: " + Forms)
	case strings.HasPrefix(host, "-"):
		return Endpoint{}, errors.New("the host begins with a dash")
	}
	return Endpoint{SSH, user, withPort(strings.Trim(host, "[]"), "", "22"), path}, nil
}

func withPort(host, port, usual string) string {
	if port == "" {
		port = usual
	}
	return net.JoinHostPort(host, port)
}

// userPassword is user:password@host:path, which people try since https takes it.
var userPassword = regexp.MustCompile(`^[^@/:]+:[^@/]*@[^@/]+:`)

const noPassword = "contains a password: put it in a file, name that in auth.password_file (a token: in auth.token_file), and remove it from the URL"

// Check is Parse for a URL that people write into the config. It also refuses secrets and what is likely a mistake.
func Check(raw string) (Endpoint, error) {
	switch {
	case odd(raw):
		return Endpoint{}, errors.New("contains a space or a control character")
	case userPassword.MatchString(raw):
		return Endpoint{}, errors.New(noPassword)
	}
	e, err := Parse(raw)
	if err != nil || !strings.Contains(raw, "://") || strings.HasPrefix(raw, "/") {
		return e, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Endpoint{}, errors.New("is not a URL: " + Forms)
	}
	_, password := u.User.Password()
	switch {
	case password:
		err = errors.New(noPassword)
	case u.User != nil && e.Kind == HTTP:
		err = errors.New("contains a user: put a name in auth.username, a token in a file named by auth.token_file")
	case u.User != nil && e.Kind != SSH:
		err = fmt.Errorf("contains a user, which %s:// does not have", u.Scheme)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		err = errors.New("must not contain ? or #")
	case strings.Trim(path.Clean(u.Path), "/.") == "":
		err = errors.New("names no repository: " + Forms)
	case !ValidPort(u.Port()):
		err = errors.New("the port must be between 1 and 65535")
	}
	if err != nil {
		return Endpoint{}, err
	}
	return e, nil
}

// odd tells whether a text contains what no URL does.
func odd(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}

// ValidPort takes a number from 1 to 65535, or none.
func ValidPort(s string) bool {
	n, err := strconv.Atoi(s)
	return s == "" || err == nil && n >= 1 && n <= 65535
}

// CheckBranch says why git would not take the short name of a branch, see git-check-ref-format(1).
func CheckBranch(name string) error {
	switch {
	case name == "@" || name == "HEAD":
		return errors.New("git keeps that name for itself")
	case strings.HasPrefix(name, "refs/"):
		return errors.New("write the short name, without refs/heads/")
	}
	return CheckRef(name)
}

// CheckRef is CheckBranch for any ref, without refs/ before it.
func CheckRef(name string) error {
	bad := strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return errors.New("git does not accept it, see git help check-ref-format")
	}
	return nil
}
