package fold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
)

const (
	// batch is how many commits one request asks for: a line for each, so 25 KB.
	batch = 500
	// failMost bounds the requests that fail, in one reading, before the refs that cannot be read are found. The rest
	// waits for the next reading, which has fewer to look through.
	failMost = 200
	// refLimit bounds, in bytes, what is read of a single ref after more than one request may bring was found.
	refLimit = 4 << 20
	// chainLimit bounds the statements that are read of a node. A ref keeps 500 where the server lets it be cut;
	// elsewhere this is half a year of them.
	chainLimit = 20_000
)

var (
	// errUnread is in the error of a ref that could not be read; a ref that holds a broken record has another error.
	errUnread = errors.New("not read")
	// errLater is in that of a ref that was not tried.
	errLater = errors.New("too many refs cannot be read: it comes later")
)

// statement is what a commit of a node's ref holds.
type statement struct {
	commit string
	at     time.Time
	raw    []byte // the record as it was pushed
	record presence.Record
	blob   string // git's id of raw
}

// steps returns the transitions of a node's statements, oldest first. Before is the record before them.
func steps(before presence.Record, chain []statement) (list []Transition) {
	for _, c := range chain {
		list, before = append(list, history.Steps(before, c.record, c.at)...), c.record
	}
	return list
}

// wanted is a node's ref that has moved.
type wanted struct {
	id    string
	tip   string
	known statement // up to this one all is known; zero if nothing is
}

// news reads the statements of nodes that are not known yet, oldest first, and says of which the newest could not be
// read. The options are those for nodes of which nothing is known.
func (p *repository) news(ctx context.Context, list []wanted, born remote.ReadOptions) (map[string][]statement, map[string]error, error) {
	chains, broken := map[string][]statement{}, map[string]error{}
	for _, known := range []bool{true, false} {
		part := slices.DeleteFunc(slices.Clone(list), func(w wanted) bool { return known != (w.known.commit != "") })
		o := born
		if known {
			o = remote.ReadOptions{}
		}
		newest, wrong, err := p.statements(ctx, part, o)
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(broken, wrong)
		for _, w := range part {
			chains[w.id] = since(newest[w.id], w.known, w.known.raw != nil)
		}
	}
	return chains, broken, nil
}

// statements reads the statements of nodes, newest first, and says for each other node why it could not be read. The
// options are those of each request, without Have.
func (p *repository) statements(ctx context.Context, list []wanted, o remote.ReadOptions) (map[string][]statement, map[string]error, error) {
	chains, broken := make(map[string][]statement, len(list)), map[string]error{}
	left := failMost
	o.MaxObject = 2 * presence.MaxRecordSize
	for part := range slices.Chunk(list, batch) {
		if err := p.readPart(ctx, part, o, &left, func(w wanted, c *objects.Content, err error) {
			var chain []statement
			if err == nil {
				chain, err = chainOf(c, w)
			}
			if err != nil {
				broken[w.id] = err
			}
			if len(chain) > 0 {
				chains[w.id] = chain
			}
		}); err != nil {
			return nil, nil, err
		}
	}
	return chains, broken, nil
}

// readPart reads some refs in one request. When that fails, one of them may point at nothing readable or at more than
// fits: then the halves are read separately, until it is alone, and of that one only the newest statement is tried.
func (p *repository) readPart(ctx context.Context, part []wanted, o remote.ReadOptions, left *int, each func(wanted, *objects.Content, error)) error {
	tips := make([]string, 0, len(part))
	o.Have = nil
	for _, w := range part {
		tips = append(tips, w.tip)
		if w.known.commit != "" {
			o.Have = append(o.Have, w.known.commit)
		}
	}
	content, err := p.store.Read(ctx, tips, o)
	if err == nil {
		for _, w := range part {
			each(w, content, nil)
		}
		return nil
	}
	if ctx.Err() != nil || errors.Is(err, remote.ErrAccess) || remote.RetryAfter(err) > 0 {
		return err
	}
	*left--
	switch {
	case len(part) == 1 && o.MaxBytes == 0 && errors.Is(err, objects.ErrTooBig):
		one := part[0]
		one.known.commit = ""
		return p.readPart(ctx, []wanted{one}, remote.ReadOptions{Depth: 1, MaxBytes: refLimit, MaxObject: o.MaxObject}, left, each)
	case len(part) == 1:
		// If the server answers, it is this ref that is wrong.
		if _, down := p.store.Refs(ctx, gitstore.FoldRef); down != nil {
			return err
		}
		each(part[0], nil, fmt.Errorf("%w: %w", errUnread, err))
		return nil
	case *left < 0:
		for _, w := range part {
			each(w, nil, fmt.Errorf("%w: %w", errUnread, errLater))
		}
		return nil
	}
	half := len(part) / 2
	if err := p.readPart(ctx, part[:half], o, left, each); err != nil {
		return err
	}
	return p.readPart(ctx, part[half:], o, left, each)
}

// chainOf takes a ref's statements out of what was read, newest first; if they lead to the known one, that is the last.
// The error is about the newest; older ones that cannot be read are skipped.
func chainOf(c *objects.Content, w wanted) ([]statement, error) {
	var chain []statement
	var first error
	at := w.tip
	for n := 0; n < chainLimit && at != ""; n++ {
		if at == w.known.commit {
			return append(chain, w.known), first
		}
		info, err := c.Commit(at)
		if err != nil {
			if n == 0 {
				first = err
			}
			break
		}
		one, err := readStatement(c, at, w.id)
		if w.known.commit != "" && errors.Is(err, objects.ErrMissing) {
			// What is known already is not sent again: it is the same record once more.
			one, err = w.known, nil
		}
		if err == nil {
			one.commit, one.at = at, presence.SaneTime(info.Committer.When)
			chain = lengthened(chain, one)
		} else if n == 0 {
			first = err
		}
		at = ""
		if len(info.Parents) > 0 {
			at = info.Parents[0]
		}
	}
	return chain, first
}

// lengthened adds an older statement to a chain. Only the newest keeps its raw record, and of a run of refreshes, which
// change neither the state nor a service, only the first stays, because a month of them would not fit into memory.
func lengthened(chain []statement, one statement) []statement {
	last := len(chain) - 1
	if last >= 0 {
		one.raw = nil
	}
	if last > 0 && len(history.Steps(one.record, chain[last].record, one.at)) == 0 {
		chain = chain[:last]
	}
	return append(chain, one)
}

// readStatement reads a commit of a node's ref.
func readStatement(c *objects.Content, commit, id string) (statement, error) {
	var t statement
	tree, err := c.Tree(commit)
	if err != nil {
		return t, err
	}
	name := gitstore.PathOf(id)
	if t.blob, err = tree.ID(name); err != nil {
		return t, err
	}
	if t.blob == "" {
		return t, fmt.Errorf("its ref holds no %s", name)
	}
	if t.raw, err = tree.Read(name, c.Most); err != nil {
		return t, err
	}
	t.record, err = decode(id, t.raw)
	return t, err
}
