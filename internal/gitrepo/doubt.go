package gitrepo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/human"
)

// damagedNote begins a marker that is no move: an object that the agent needs to find its work was missing or damaged,
// though the last move had no use for it. Without this nobody would fetch it again until it is pushed once more.
const damagedNote = "damaged: "

// TreeInUse is Tree for who works by it: when an object turns out to be missing or damaged, the clone is noted as broken,
// and the next look makes it anew.
func (r *Repo) TreeInUse(version string) (*Tree, error) {
	t, err := r.Tree(version)
	if err != nil {
		r.doubt(err)
		return nil, err
	}
	t.doubt = r.doubt
	return t, nil
}

func (r *Repo) doubt(err error) {
	if !errors.Is(err, gitpack.ErrMissing) {
		return
	}
	if _, marked, err := interruptedMove(r.dir); marked || err != nil {
		return // what is to be put right already is compared then
	}
	reason := human.Line(err.Error())
	_ = writeGit(r.gitDir(), markerFile, []byte(damagedNote+reason+"\n")) // else the next beat finds the same
}

// damaged is why a clone was noted as broken, "" = it was not.
func damaged(gitDir string) string {
	b, err := os.ReadFile(filepath.Join(gitDir, markerFile))
	if err != nil {
		return ""
	}
	why, _ := strings.CutPrefix(strings.TrimSpace(string(b)), damagedNote)
	if why == strings.TrimSpace(string(b)) {
		return ""
	}
	return "it is damaged: " + why
}

// load reads one object of the tree.
func (t *Tree) load(id plumbing.Hash, kind plumbing.ObjectType, limit int64, into []byte) ([]byte, error) {
	data, err := t.objects.Load(id, kind, limit, into)
	if err != nil && t.doubt != nil {
		t.doubt(err)
	}
	return data, err
}
