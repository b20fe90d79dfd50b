package gitstore_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/internal/sink/sinktest"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

const refresh = 10 * time.Minute

func TestGit(t *testing.T) {
	t.Parallel()
	sshd := gittest.StartSSHD(t)
	for name, address := range map[string]func(t *testing.T, repo *gittest.Repo) remote.Source{
		"http": func(t *testing.T, repo *gittest.Repo) remote.Source {
			s := gittest.Serve(t, filepath.Dir(repo.Dir), gittest.ServerOptions{})
			return remote.Source{URL: s.URL + "/r.git"}
		},
		"http without v2": func(t *testing.T, repo *gittest.Repo) remote.Source {
			s := gittest.Serve(t, filepath.Dir(repo.Dir), gittest.ServerOptions{NoV2: true})
			return remote.Source{URL: s.URL + "/r.git"}
		},
		"ssh": func(_ *testing.T, repo *gittest.Repo) remote.Source {
			return remote.Source{URL: sshd.URL(repo.Dir), Auth: remote.Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}}
		},
		"git daemon": func(t *testing.T, repo *gittest.Repo) remote.Source {
			return remote.Source{URL: gittest.Daemon(t, filepath.Dir(repo.Dir)) + "/r.git"}
		},
		"path": func(_ *testing.T, repo *gittest.Repo) remote.Source {
			return remote.Source{URL: repo.Dir}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Place {
				repo := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
				t.Cleanup(func() { gittest.Fsck(t, repo.Dir) })
				source := address(t, repo)
				memory := filepath.Join(t.TempDir(), "presence.json")
				return sinktest.Place{
					Open: func() sink.Sink {
						store, err := remote.New(source)
						if err != nil {
							t.Fatal(err)
						}
						g := gitstore.New(gitstore.Options{Remote: store, StateFile: memory, Refresh: refresh, Timeout: 3 * time.Minute})
						t.Cleanup(func() {
							g.Close()
							if err := store.Close(); err != nil {
								t.Error(err)
							}
						})
						return g
					},
					Read: func() (presence.Record, bool) {
						id := sinktest.Record().InstanceID
						text, err := gittest.TryGit(repo.Dir, nil, "show", gitstore.RefName(gitstore.RefPrefix, id)+":"+gitstore.PathOf(id))
						if err != nil { // the least record has another name
							text, err = gittest.TryGit(repo.Dir, nil, "show", gitstore.RefName(gitstore.RefPrefix, "n")+":"+gitstore.PathOf("n"))
						}
						if err != nil {
							return presence.Record{}, false
						}
						r, err := presence.Decode([]byte(text))
						return r, err == nil
					},
					Arrived:  func(s sink.Sink) error { return s.(*gitstore.Sink).Flush(t.Context()) },
					Promises: true,
					Later:    refresh,
				}
			})
		})
	}
}
