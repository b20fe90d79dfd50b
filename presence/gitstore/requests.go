package gitstore

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// Request is what is asked of a node, at a ref of its own in a repository that nodes can only read.
type Request struct {
	ID     string    `json:"id"`               // a node obeys it once
	Action string    `json:"action"`           // such as work
	Target string    `json:"target,omitempty"` // what the action is about; "" = all of it
	By     string    `json:"by,omitempty"`     // who asks
	Until  time.Time `json:"until"`            // it is not obeyed later
}

const (
	requestsFile  = "requests.json"
	requestsType  = "noderequests"
	requestsLimit = 64 << 10
)

// MostRequests is how many requests a node takes from its ref. Of more it takes none.
const MostRequests = 20

// MalformedError is in the error of a ref that holds no list of requests.
type MalformedError struct{ error }

// FullError is in the error of a list that a node would not take.
type FullError struct{ Node string }

func (e *FullError) Error() string {
	return e.Node + " has " + human.Count(MostRequests, "request") + " already: wait, or remove some"
}

var requestID = regexp.MustCompile(`^[0-9a-z][0-9a-z-]{0,49}$`)

// RequestRef is the ref of what is asked of a node.
func RequestRef(id string) string { return "refs/heads/request/" + id }

// AskRequests returns where the ref of a node's requests is; "" = there is none.
func AskRequests(ctx context.Context, s Remote, id string) (tip string, err error) {
	return refID(ctx, s, RequestRef(id))
}

// ReadRequests reads what a commit of a node's ref asks, also more than MostRequests. What is there may be hostile: an
// invalid id is an error, texts are cleaned.
func ReadRequests(ctx context.Context, s Remote, commit string) ([]Request, error) {
	data, err := readPushed(ctx, s, commit, requestsFile, requestsLimit)
	if err != nil {
		return nil, err
	}
	var list []Request
	if err := presence.DecodeDocument(data, requestsType, &list); err != nil {
		return nil, &MalformedError{fmt.Errorf("%s: %w", requestsFile, err)}
	}
	for i, r := range list {
		if !requestID.MatchString(r.ID) {
			return nil, &MalformedError{fmt.Errorf("%s: invalid request id %s", requestsFile, human.Quote(r.ID))}
		}
		list[i].Action, list[i].Target, list[i].By = human.Truncate(human.Safe(r.Action), 100), human.Truncate(human.Safe(r.Target), 300), human.Truncate(human.Safe(r.By), 100)
	}
	return list, nil
}

// RequestsOf lists the nodes that something is asked of, with the commits of their refs.
func RequestsOf(ctx context.Context, s Remote) (tips map[string]string, err error) {
	refs, err := s.Refs(ctx, RequestRef(""))
	tips = map[string]string{}
	for _, r := range refs {
		if id, ok := IDOf(RequestRef(""), r.Name); ok {
			tips[id] = r.ID
		}
	}
	return tips, err
}

// RequestsUpdate moves a node's ref from a commit ("" = there is none) to a list of requests; an empty list deletes it.
// Of two writers at once one gets an error.
func RequestsUpdate(id, old string, list []Request, who string, now time.Time) (remote.Update, error) {
	if len(list) == 0 {
		return remote.Update{Ref: RequestRef(id), Old: old}, nil
	}
	if len(list) > MostRequests {
		return remote.Update{}, &FullError{id}
	}
	data, err := presence.EncodeDocument(requestsType, list)
	words := make([]string, 0, len(list))
	for _, r := range list {
		words = append(words, strings.TrimSpace(r.Action+" "+r.Target))
	}
	return fileUpdate(RequestRef(id), old, requestsFile, data, who, id+": "+strings.Join(words, ", "), now), err
}

// fileUpdate moves a ref from a commit ("" = none) to one that holds a single file. The new commit follows the old one,
// because some servers refuse anything else.
func fileUpdate(ref, old, name string, data []byte, who, subject string, at time.Time) remote.Update {
	o := &objects.Builder{}
	tip := historyEntry{tree: fileTree(o, name, data), at: presence.WholeSecond(at), subject: oneLine(subject)}.commit(o, who, old)
	return remote.Update{Ref: ref, Old: old, New: tip, Objects: o}
}

// readPushed reads a file of a commit.
func readPushed(ctx context.Context, s Remote, commit, name string, limit int64) ([]byte, error) {
	found, err := s.Read(ctx, []string{commit}, remote.ReadOptions{Depth: 1, MaxBytes: limit})
	if err != nil {
		return nil, err
	}
	return found.File(commit, name)
}
