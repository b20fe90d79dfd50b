package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// kind is a kind of server: a row of docs/servers.md.
type kind struct {
	name     string // as the page has it
	over     string
	protocol string // git's, that is spoken with it; "" = it does not matter
	note     string // for the page
	since    string // when it was first tried with a real one
	says     string // where it cannot be used: part of what check --live says
	alone    string // where it can, but for presence: the same
	long     bool   // it needs what only make test-all-tools installs
	start    func(t *testing.T, root string) place
}

// place is where a server offers the repositories ops and presence.
type place struct {
	url  string // with NAME for that of a repository
	root string // the folder that holds them; "" = the one that start was given
	auth string // of the config
	made func() // called once both are there; nil = nothing
}

const since = "November 2026"

// kinds are in the order of the page.
func kinds() []kind {
	backend := func(o gittest.ServerOptions, form string) func(*testing.T, string) place {
		return func(t *testing.T, root string) place {
			return place{url: gittest.Serve(t, root, o).URL + form}
		}
	}
	ssh := func(o gittest.SSHDOptions) func(*testing.T, string) place {
		return func(t *testing.T, root string) place {
			d := gittest.StartSSHDWith(t, o)
			return place{url: d.URL(root) + "/NAME.git", auth: keyed(d)}
		}
	}
	return []kind{
		{name: "`git http-backend`", over: "HTTP", protocol: "v2", since: since, start: backend(gittest.ServerOptions{}, "/NAME.git"),
			note: "what most hosts have inside; for pushes `http.receivepack` must be true, or the web server must log users in"},
		{name: "`git http-backend` that is asked for v1", over: "HTTP", protocol: "v0", since: since, start: backend(gittest.ServerOptions{Wrap: versionOne}, "/NAME.git"),
			note: "behind something that rewrites the version"},
		{name: "`git http-backend` without v2", over: "HTTP", protocol: "v0", since: since, start: backend(gittest.ServerOptions{NoV2: true}, "/NAME.git"),
			note: "older than git 2.18, or behind something that drops the `Git-Protocol` header"},
		{name: "nginx with fcgiwrap", over: "HTTP", protocol: "v2", since: since, start: func(t *testing.T, root string) place {
			return place{url: gittest.StartNginx(t, root, gittest.NginxOptions{User: "node", Password: "Q7vXz81LkMnBw72"}).URL + "/NAME.git", auth: password(t)}
		}, note: "with a user and a password"},
		{name: "lighttpd with mod_cgi", over: "HTTP", protocol: "v2", since: since, long: true, start: lighttpd, note: ""},
		{name: "Azure DevOps", over: "HTTP", protocol: "v0", since: since, start: backend(gittest.ServerOptions{Wrap: gittest.Azure}, "/NAME.git"),
			note: "a front with its rules, not the service itself"},
		{name: "GitLab", over: "HTTP", protocol: "v2", since: since, start: backend(gittest.ServerOptions{Wrap: gittest.GitLab}, "/NAME.git"),
			note: "a front with its routes, not the service itself"},
		{name: "GitLab, URL without `.git`", over: "HTTP", protocol: "v2", since: since, start: backend(gittest.ServerOptions{Wrap: gittest.GitLab}, "/NAME"),
			note: "the same; write the URL with `.git`: it saves a request at each start"},
		{name: "Dulwich 0.21", over: "HTTP", protocol: "v0", since: since, long: true, start: dulwich, alone: "nodes cannot share this git server",
			note: "what Python programs have inside; it moves a ref without a comparison, so nodes must not report there"},
		{name: "JGit 4.11", over: "`git://`", protocol: "v0", since: since, long: true, start: jgit, note: "what Gerrit and other Java programs have inside"},
		{name: "`git daemon`", over: "`git://`", protocol: "v2", since: since, start: func(t *testing.T, root string) place {
			return place{url: gittest.Daemon(t, root) + "/NAME.git"}
		}, note: "no encryption and no login: on a trusted network only; pushes need `--enable=receive-pack`"},
		{name: "OpenSSH with git", over: "SSH", protocol: "v2", since: since, start: ssh(gittest.SSHDOptions{}), note: "`AcceptEnv GIT_PROTOCOL` in `sshd_config`"},
		{name: "OpenSSH with git, as installed", over: "SSH", protocol: "v0", since: since, start: ssh(gittest.SSHDOptions{NoV2: true}),
			note: "without `AcceptEnv`, each look lists all refs, 70 bytes each"},
		{name: "gitolite 3", over: "SSH", protocol: "v2", since: since, long: true, start: gitolite, note: "`RW+` for the nodes in presence, `R` in other repositories"},
		{name: "a path or `file://`", over: "git's own programs", since: since, start: func(_ *testing.T, root string) place {
			return place{url: root + "/NAME.git"}
		}, note: "needs git on the node"},
		{name: "a server of files", over: "HTTP", since: since, long: true, start: files,
			says: "git's dumb protocol", note: "cannot be used: have `git http-backend` answer there, or use SSH"},
		{name: "a SHA-256 repository", over: "all", since: since, says: "names its objects by sha256", start: func(t *testing.T, root string) place {
			return place{url: root + "/NAME.git", made: func() { asSHA256(t, filepath.Join(root, "ops.git")) }}
		}, note: "cannot be used: make it with `git init --object-format=sha1`"},
	}
}

func keyed(d *gittest.SSHD) string {
	return fmt.Sprintf("{ ssh_key_file: %s, known_hosts_file: %s }", d.KeyFile, d.KnownHosts)
}

func password(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "password")
	testkit.Must(t, os.WriteFile(file, []byte("Q7vXz81LkMnBw72\n"), 0o600))
	return fmt.Sprintf("{ username: node, password_file: %s }", file)
}

func lighttpd(t *testing.T, root string) place {
	dir, addr := t.TempDir(), gittest.Port(t, "127.0.0.1")
	_, port, _ := net.SplitHostPort(addr)
	config := fmt.Sprintf(`server.modules = ( "mod_alias", "mod_cgi", "mod_setenv" )
server.document-root = "%s"
server.bind = "127.0.0.1"
server.port = %s
server.errorlog = "%s/error.log"
server.upload-dirs = ( "%s" )
alias.url = ( "/git" => "/usr/lib/git-core/git-http-backend" )
setenv.add-environment = ( "GIT_PROJECT_ROOT" => "%s", "GIT_HTTP_EXPORT_ALL" => "1" )
$HTTP["url"] =~ "^/git" { cgi.assign = ( "" => "" ) }
`, root, port, dir, dir, root)
	gittest.WriteFile(t, filepath.Join(dir, "conf"), config)
	gittest.Start(t, "lighttpd", addr, "/usr/sbin/lighttpd", "-D", "-f", filepath.Join(dir, "conf"))
	return place{url: "http://" + addr + "/git/NAME.git"}
}

// files is the same program, which only offers the files.
func files(t *testing.T, root string) place {
	at := lighttpd(t, root)
	at.url = strings.Replace(at.url, "/git/", "/", 1)
	at.made = func() {
		for _, name := range []string{"ops", "presence"} {
			gittest.Git(t, filepath.Join(root, name+".git"), "update-server-info")
		}
	}
	return at
}

func dulwich(t *testing.T, root string) place {
	addr := gittest.Port(t, "127.0.0.1")
	_, port, _ := net.SplitHostPort(addr)
	const program = `import sys
from wsgiref.simple_server import make_server
from dulwich.repo import Repo
from dulwich.server import Backend
from dulwich.web import make_wsgi_chain
class Folder(Backend):
    def open_repository(self, path):
        return Repo(sys.argv[1] + path)
make_server("127.0.0.1", int(sys.argv[2]), make_wsgi_chain(Folder())).serve_forever()
`
	gittest.Start(t, "python3-dulwich", addr, "/usr/bin/python3", "-c", program, root, port)
	return place{url: "http://" + addr + "/NAME.git"}
}

func jgit(t *testing.T, root string) place {
	addr := gittest.Port(t, "127.0.0.1")
	_, port, _ := net.SplitHostPort(addr)
	// /usr/bin/jgit does not name all the archives that it needs.
	gittest.Start(t, "jgit-cli", addr, "/usr/bin/java", "-cp", "/usr/share/java/*", "org.eclipse.jgit.pgm.Main", "daemon", "--listen", "127.0.0.1", "--port", port, "--export-all",
		"--enable", "upload-pack", "--enable", "receive-pack", root)
	return place{url: "git://" + addr + "/NAME.git"}
}

func gitolite(t *testing.T, _ string) place {
	home := t.TempDir()
	d := gittest.StartSSHD(t)
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("/usr/bin/gitolite", args...)
		cmd.Env, cmd.Dir = append(gittest.Env(), "HOME="+home), home
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gitolite %v (make test-all-tools): %v\n%s", args, err, out)
		}
	}
	run("setup", "-a", "node")
	gittest.WriteFile(t, filepath.Join(home, ".gitolite", "conf", "gitolite.conf"), "repo ops\n    R = node\nrepo presence\n    RW+ = node\n")
	run("compile")
	d.AllowOnly(d.KeyFile, "env HOME="+home+" GIT_CONFIG_GLOBAL=/dev/null /usr/share/gitolite3/gitolite-shell node")
	return place{url: "ssh://" + d.User + "@" + d.Addr + "/NAME", root: filepath.Join(home, "repositories"), auth: keyed(d)}
}
