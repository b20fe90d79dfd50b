package remote

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

func TestTry(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{User: "x-access-token", Password: "hush"})
	id := repo.Commit("main", gittest.File("a", "x"))
	_, old := gittest.Remote(t, gittest.ServerOptions{NoV2: true})
	d := gittest.StartSSHD(t)
	token := filepath.Join(t.TempDir(), "token")
	gittest.WriteFile(t, token, "hush\n")
	wrong := filepath.Join(t.TempDir(), "wrong")
	gittest.WriteFile(t, wrong, "hush-2\n")
	empty := filepath.Join(t.TempDir(), "empty")
	gittest.WriteFile(t, empty, "")

	for name, c := range map[string]struct {
		source Source
		want   Answer
	}{
		"http": {Source{URL: server.URL + "/r.git", Auth: Auth{TokenFile: token}}, Answer{Tip{"main", id}, "v2", token}},
		"ssh":  {Source{URL: d.URL(repo.Dir), Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: d.KnownHosts}}, Answer{Tip{"main", id}, "v2", d.KeyFile}},
		"path": {Source{URL: repo.Dir, Branch: "main"}, Answer{Tip{"main", id}, "", ""}},
	} {
		if got, err := Try(t.Context(), c.source); err != nil || got != c.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		source     Source
		says, mend string
		access     bool
	}{
		"wrong token":      {Source{URL: server.URL + "/r.git", Auth: Auth{TokenFile: wrong}}, "401", "it refuses the credentials of " + wrong + ": renew them", true},
		"no such branch":   {Source{URL: server.URL + "/r.git", Branch: "b", Auth: Auth{TokenFile: token}}, `branch "b" is not there`, "push it, or set branch", false},
		"empty":            {Source{URL: old.URL + "/r.git"}, "the remote repository is empty", "push a first commit", false},
		"unknown host key": {Source{URL: d.URL(repo.Dir), Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: empty}}, "unknown host key", "compare it, then add it with ssh-keyscan", true},
		"not there":        {Source{URL: d.URL("/nowhere.git"), Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: d.KnownHosts}}, "not appear to be a git repository", "check url, and give the key (or the account) of auth read access there", true},
		"no URL":           {Source{}, "is empty", "", false},
	} {
		_, err := Try(t.Context(), c.source)
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrAccess) != c.access || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var mends interface {
			error
			Hint() string
		}
		mend := ""
		for at := err; mend == "" && errors.As(at, &mends); at = errors.Unwrap(mends) {
			mend = mends.Hint()
		}
		if mend != c.mend || !strings.HasSuffix(err.Error(), mend) {
			t.Errorf("%s: %q says what to do: %q, want %q", name, err, mend, c.mend)
		}
	}
}

// TestTryOfAnOldServer says that it speaks v0.
func TestTryOfAnOldServer(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{NoV2: true})
	id := repo.Commit("main", gittest.File("a", "x"))
	if got, err := Try(t.Context(), Source{URL: server.URL + "/r.git"}); err != nil || got != (Answer{Tip{"main", id}, "v0", ""}) {
		t.Errorf("%+v %v", got, err)
	}
}
