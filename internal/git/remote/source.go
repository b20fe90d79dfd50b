package remote

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
)

// Source says where a repository comes from.
type Source struct {
	URL string // https, http, ssh, git or file URL, scp-style user@host:path, or an absolute path
	// other addresses of the same repository, tried in order when the one before fails
	Mirrors []string
	Branch  string // "" = the remote's HEAD
	Auth    Auth   // for the mirrors too
	Network Network
	// what a rewritten or moved-back branch means: "follow" (or "") with a notice, "refuse" an error, RewindUnasked
	// nothing
	Rewind string
	Agent  string // user agent, "addagent/VERSION"
}

// RewindUnasked is the Rewind of a branch whose history means nothing, only what it holds now. The usual question
// whether the branch went forward costs a few requests when it went more than one commit ahead. No config says it.
const RewindUnasked = "unasked"

type Auth = address.Auth       // who we are there
type Network = address.Network // which way it is reached

// Same says whether two sources say the same in every field.
func (s Source) Same(o Source) bool { return reflect.DeepEqual(s, o) }

// kind is how a source is reached.
type kind string

const (
	kindHTTP  kind = "http" // and https
	kindSSH   kind = "ssh"
	kindGit   kind = "git"
	kindLocal kind = "local"
)

// endpoint is a source's URL, understood.
type endpoint struct {
	kind kind
	user string // ssh
	host string // ssh, git: with a port
	path string // ssh, git, local
}

// Redacted returns the URL in a form that may be shown and stored: without password, token and query.
func (s Source) Redacted() string { return protocol.Redact(s.URL) }

// String is what logs show of a source; it holds no secret.
func (s Source) String() string { return s.Redacted() }

// Check finds what is wrong with a source without asking anybody.
func (s Source) Check() error {
	var errs []error
	for _, url := range append([]string{s.URL}, s.Mirrors...) {
		_, err := Source{URL: url}.address()
		errs = append(errs, err)
	}
	if s.Branch != "" {
		errs = append(errs, CheckBranch(s.Branch))
	}
	if s.Rewind != "" && s.Rewind != "follow" && s.Rewind != "refuse" && s.Rewind != RewindUnasked {
		errs = append(errs, fmt.Errorf("rewind %q: write follow or refuse", s.Rewind))
	}
	if len(s.Auth.Command) > 0 && s.Auth.Command[0] == "" {
		errs = append(errs, errors.New("auth command: it names no program"))
	}
	return errors.Join(append(errs, s.Network.Check())...)
}

func (s Source) address() (endpoint, error) {
	raw := s.URL
	bad := func(why string) (endpoint, error) {
		return endpoint{}, fmt.Errorf("url %q: %s", s.Redacted(), why)
	}
	if raw == "" {
		return bad("it is empty: write https://..., ssh://..., user@host:path or an absolute path")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad("it holds a control character")
	}
	if strings.HasPrefix(raw, "/") {
		return endpoint{kind: kindLocal, path: filepath.Clean(raw)}, nil
	}
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok {
		return scpAddress(raw, bad)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return bad("it cannot be read as a URL")
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https":
		if u.Host == "" {
			return bad("it names no host")
		}
		return endpoint{kind: kindHTTP}, nil
	case "file":
		if u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") {
			return bad("write file:///absolute/path")
		}
		return endpoint{kind: kindLocal, path: filepath.Clean(u.Path)}, nil
	case "ssh", "git+ssh", "ssh+git", "git":
		if u.Hostname() == "" || u.Path == "" || u.Path == "/" {
			return bad("it must name a host and a path")
		}
		a := endpoint{kind: kindSSH, host: u.Host, user: u.User.Username(), path: u.Path}
		port := "22"
		if scheme == "git" {
			a.kind, port = kindGit, "9418"
		}
		if u.Port() == "" {
			a.host = joinHostPort(u.Hostname(), port)
		}
		if strings.HasPrefix(a.path, "/~") { // ssh://host/~user/x is below a home
			a.path = a.path[1:]
		}
		return a, nil
	}
	return bad("unknown protocol " + scheme + ": write https, http, ssh, git or file")
}

// scpAddress understands user@host:path.
func scpAddress(raw string, bad func(string) (endpoint, error)) (endpoint, error) {
	host, path, ok := strings.Cut(raw, ":")
	if !ok || strings.Contains(host, "/") {
		return bad("a path must be absolute, a host needs https:// or ssh:// or user@host:path")
	}
	user := ""
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		user, host = host[:i], host[i+1:]
	}
	if host == "" || path == "" || strings.HasPrefix(host, "-") {
		return bad("write user@host:path")
	}
	return endpoint{kind: kindSSH, user: user, host: joinHostPort(host, "22"), path: path}, nil
}

func joinHostPort(host, port string) string {
	host = strings.Trim(host, "[]")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// CheckBranch applies the rules of git-check-ref-format(1).
func CheckBranch(b string) error {
	switch {
	case b == "" || b == "@" || b == "HEAD":
		return fmt.Errorf("branch %q: no name of a branch", b)
	case strings.HasPrefix(b, "refs/"):
		return fmt.Errorf("branch %q: write the short name, without refs/heads/", b)
	}
	if err := checkRefName(b); err != nil {
		return fmt.Errorf("branch %q: %w", b, err)
	}
	return nil
}

// checkRefName applies the rules to what follows refs/ or refs/heads/.
func checkRefName(b string) error {
	bad := func(why string) error { return errors.New(why) }
	switch {
	case b == "":
		return bad("it is empty")
	case strings.HasPrefix(b, "-") || strings.HasPrefix(b, "/") || strings.HasSuffix(b, "/") || strings.HasSuffix(b, "."):
		return bad("it must not begin with - or /, nor end with / or .")
	case strings.Contains(b, "..") || strings.Contains(b, "//") || strings.Contains(b, "@{"):
		return bad(`it must not hold "..", "//" or "@{"`)
	case strings.ContainsFunc(b, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }):
		return bad(`it must not hold spaces, control characters or any of ~^:?*[\`)
	}
	for part := range strings.SplitSeq(b, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return bad("no part of it may begin with a dot or end with .lock")
		}
	}
	return nil
}
