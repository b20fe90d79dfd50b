package remote

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

// someRecord is what a node says of itself: 1.2 KB.
func someRecord(node, state string) []byte {
	sum := sha1.Sum([]byte(node + state))
	return fmt.Appendf(nil, `{
    "filetype": "nodepresence",
    "value": {
        "addresses": ["10.%d.%d.%d", "192.0.2.%d", "fd00::%x"],
        "agent": "0.3.0",
        "beat_next_by": "2026-11-27T09:12:%02dZ",
        "beat_seen": "2026-11-27T08:58:%02dZ",
        "boot_id": "%x-%x-%x-%x-%x",
        "deployment": "prod",
        "hardware": "ec2:%s",
        "hostname": "ip-10-%d-%d-%d.eu-central-1.compute.internal",
        "initgitrepo": "ops",
        "instance-id": %q,
        "nodepart": "app1",
        "reason": "work of ops:part.app1 went well, next look at 08:59:14",
        "repos": {
            "app": {"branch": "main", "version": "%x", "seen": "2026-11-27T08:58:14Z"},
            "ops": {"branch": "main", "version": "%x", "seen": "2026-11-27T08:58:14Z"}
        },
        "services": [
            {"name": "web", "address": "10.%d.%d.%d", "port": 8080, "tags": ["blue"]}
        ],
        "stacktype": "lad1",
        "state": %q,
        "statelog": "setup:20261127-080102;initdone:20261127-080157;idle:20261127-080158",
        "statetss": "20261127-083044"
    }
}
`, sum[0], sum[1], sum[2], sum[3], sum[4:8], sum[9]%60, sum[10]%60, sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16], node,
		sum[0], sum[1], sum[2], node, sum, sha1.Sum(sum[:]), sum[0], sum[1], sum[2], state)
}

// putRecord makes the objects of a presence commit and returns its id.
func putRecord(o *objects.Builder, node, state string, n int, parents ...string) string {
	id := o.Blob(someRecord(node, state))
	entry := objects.Entry{Name: node + ".json", ID: id}
	for _, folder := range []string{"all", "presence", "it"} {
		entry = objects.Entry{Name: folder, ID: o.Tree([]objects.Entry{entry}), Dir: true}
	}
	who := objects.Person{Name: node, Email: node + "@example.org", When: time.Unix(1_800_000_000+int64(n), 0)}
	return o.Commit(objects.CommitInfo{Tree: o.Tree([]objects.Entry{entry}), Parents: parents, Author: who, Message: node + ":prod/app1 " + state})
}

// away is a repository behind something.
type away struct {
	src    *gittest.Repo
	source Source
}

func (a away) store(tb testing.TB) *Repository {
	tb.Helper()
	s, err := New(a.source)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// everywhere runs a test against each way to a repository.
func everywhere(t *testing.T, test func(t *testing.T, a away)) {
	sshd := gittest.StartSSHD(t)
	for _, kind := range []string{"http", "http v0", "ssh", "git", "path"} {
		t.Run(kind, func(t *testing.T) {
			root := t.TempDir()
			a := away{src: gittest.New(t, filepath.Join(root, "r.git"))}
			a.source = Source{URL: a.src.Dir, Agent: "addagent/test"}
			switch kind {
			case "http":
				a.source.URL = gittest.Serve(t, root, gittest.ServerOptions{}).URL + "/r.git"
			case "http v0":
				a.source.URL = gittest.Serve(t, root, gittest.ServerOptions{NoV2: true}).URL + "/r.git"
			case "ssh":
				a.source.URL = sshd.URL(a.src.Dir)
				a.source.Auth = Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}
			case "git":
				a.source.URL = gittest.Daemon(t, root) + "/r.git"
			}
			test(t, a)
			gittest.Fsck(t, a.src.Dir)
		})
	}
}

func TestStorePush(t *testing.T) {
	everywhere(t, func(t *testing.T, a away) {
		s := a.store(t)
		ctx := t.Context()
		if refs, err := s.Refs(ctx); err != nil || len(refs) != 0 {
			t.Fatalf("empty: %v %v", refs, err)
		}
		const ref, odd = "refs/heads/presence/i-1", "refs/presence/x"
		var o objects.Builder
		one := putRecord(&o, "i-1", "idle", 1)
		push := func(u ...Update) error { return s.Push(ctx, u...) }
		refused := func(what string, err error) {
			t.Helper()
			var no *Rejected
			if !errors.As(err, &no) || errors.Is(err, ErrUnclear) || no.Why == "" {
				t.Errorf("%s: %v", what, err)
			} else {
				t.Logf("%s: %v", what, err)
			}
		}
		is := func(want map[string]string) {
			t.Helper()
			refs, err := s.Refs(ctx, "refs/")
			if err != nil || len(refs) != len(want) {
				t.Fatalf("%v %v", refs, err)
			}
			for _, r := range refs {
				if want[r.Name] != r.ID {
					t.Errorf("%s is at %s, want %s", r.Name, r.ID, want[r.Name])
				}
			}
		}
		testkit.Must(t, push(Update{Ref: ref, New: one, Objects: &o}))
		is(map[string]string{ref: one})
		if got, want := a.src.Git("cat-file", "blob", ref+":it/presence/all/i-1.json")+"\n", string(someRecord("i-1", "idle")); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
		if got := a.src.Git("log", "-1", "--format=%an <%ae> %at %cn %ct %s", ref); got != "i-1 <i-1@example.org> 1800000001 i-1 1800000001 i-1:prod/app1 idle" {
			t.Fatal(got)
		}
		var p objects.Builder
		two := putRecord(&p, "i-1", "working", 2, one)
		refused("create of an existing one", push(Update{Ref: ref, New: two, Objects: &p}))
		refused("stale", push(Update{Ref: ref, Old: two, New: two, Objects: &p}))
		testkit.Must(t, push(Update{Ref: ref, Old: one, New: two, Objects: &p}))
		refused("stale", push(Update{Ref: ref, Old: one, New: two, Objects: &p}))
		refused("absent", push(Update{Ref: odd, Old: one, New: two}))
		var q objects.Builder
		other := putRecord(&q, "i-1", "idle", 3)
		testkit.Must(t, push(Update{Ref: ref, Old: two, New: other, Objects: &q})) // no fast-forward
		testkit.Must(t, push(Update{Ref: ref, Old: other, New: one}))              // to what is there already
		testkit.Must(t, push(Update{Ref: odd, New: one}))
		is(map[string]string{ref: one, odd: one})
		refused("file and folder", push(Update{Ref: ref + "/below", New: one}))
		refused("folder and file", push(Update{Ref: "refs/heads/presence", New: one}))
		a.src.Git("pack-refs", "--all")
		refused("file and folder, packed", push(Update{Ref: ref + "/below", New: one}))
		refused("folder and file, packed", push(Update{Ref: "refs/heads/presence", New: one}))
		refused("delete of one that is elsewhere", push(Update{Ref: odd, Old: two}))
		testkit.Must(t, push(Update{Ref: odd, Old: one}))
		is(map[string]string{ref: one})
		refused("delete of an absent one", push(Update{Ref: odd, Old: one}))
		if err := push(Update{Ref: odd, Old: strings.Repeat("3", 40)}); err != nil {
			refused("delete of an absent one from an unknown object", err)
		}
		refused("nothing behind it", push(Update{Ref: odd, New: strings.Repeat("1", 40)}))
		var lame objects.Builder
		loose := lame.Commit(objects.CommitInfo{Tree: strings.Repeat("2", 40), Author: objects.Person{Name: "x", Email: "x"}})
		refused("no tree", push(Update{Ref: odd, New: loose, Objects: &lame}))
		// Several, each for itself.
		err := push(Update{Ref: "refs/heads/a", New: one}, Update{Ref: ref, Old: two, New: two}, Update{Ref: odd, New: two})
		refused("one of three", err)
		is(map[string]string{ref: one, odd: two, "refs/heads/a": one})
		testkit.Must(t, push(Update{Ref: odd, Old: two}, Update{Ref: "refs/heads/a", Old: one}))
		testkit.Must(t, push(Update{Ref: ref, Old: one}))
		is(nil)
		testkit.Must(t, push(Update{Ref: "refs/heads/presence", New: one})) // where a folder was
		testkit.Must(t, push(Update{Ref: "refs/heads/presence", Old: one}))
		is(nil)
	})
}
