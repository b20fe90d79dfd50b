package pack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// TestFewDescriptors: a process without descriptors cannot open packs. That is no damage, and nothing stays open.
func TestFewDescriptors(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	var ids []plumbing.Hash
	for i := range 3 {
		ids = append(ids, plumbing.NewHash(src.Commit("main", gittest.File("f", fmt.Sprint(i)))))
		src.Git("repack", "-dq")
	}
	var was unix.Rlimit
	testkit.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	defer func() { testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }()
	free := func() int {
		f, err := os.Open(os.DevNull)
		testkit.Must(t, err)
		defer f.Close()
		return int(f.Fd())
	}
	first, short := free(), 0
	for n := 0; n < 12; n++ {
		testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(first + n), Max: was.Max}))
		o, err := Open(src.Dir, filepath.Join(src.Dir, "tmp"))
		for _, id := range ids {
			if err == nil {
				err = o.Present(id)
			}
		}
		if o != nil {
			testkit.Must(t, o.Close())
		}
		testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
		if err != nil && (!files.Shortage(err) || errors.Is(err, ErrMissing)) {
			t.Errorf("with %d descriptors: %v", n, err)
		}
		if err != nil {
			short++
		}
		if at := free(); at != first {
			t.Fatalf("with %d descriptors: the next free one is %d, not %d", n, at, first)
		}
	}
	if short == 0 || short == 12 {
		t.Errorf("%d of 12 fell short", short)
	}
}
