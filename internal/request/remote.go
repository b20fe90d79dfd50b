package request

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/service"
)

// Remote takes in what the holder of the requests repository asks of this node: each request once, before its end, and
// only where the config allows it. A request becomes an Ask like that of a person on this machine, and its answer goes
// into the record. Reading goes on beside the beats.
type Remote struct {
	Spec any // of the config that it was made from

	store    *remote.Repository
	id       string // this node
	stateDir string
	allow    []string
	limit    time.Duration // of one reading
	waits    bool          // this process is one beat: what is asked is read in it
	wake     func()
	ctx      context.Context
	stop     context.CancelFunc
	going    sync.WaitGroup

	mu    sync.Mutex
	busy  bool
	wrong error
	known known
}

// known is the memory of requests, on disk before anything is done: an id is obeyed once, whatever the repository says.
type known struct {
	Tip      string    `json:"tip"`
	Requests []obeying `json:"requests"`
}

// obeying is one request, and what became of it.
type obeying struct {
	gitstore.Request
	Stands bool            `json:"stands"`        // it is still asked for
	Asked  bool            `json:"asked"`         // it becomes, or became, an Ask
	Served bool            `json:"served"`        // the Ask was served
	Did    []string        `json:"did,omitempty"` // the items that work again
	Answer presence.Answer `json:"answer"`
}

const (
	// mostAhead bounds the end of a request, whose id is remembered until then: a week, and what clocks may differ.
	mostAhead = 7*24*time.Hour + time.Hour
	// memoryMost bounds the memory. With more requests that have not ended, new ones are refused.
	memoryMost  = 500
	answerLimit = 300 // characters of an answer's text
	askPrefix   = "request-"
)

// ActionWork makes items work again.
const ActionWork = "work"

// RequestsSource is where the requests repository is.
func RequestsSource(cfg *config.Config, agent string) remote.Source {
	return remote.Source{URL: cfg.Requests.URL, Auth: cfg.Requests.Auth, Network: cfg.Network, Agent: agent}
}

// RemoteSpec is what of a config concerns requests; nil = none are obeyed.
func RemoteSpec(cfg *config.Config) any {
	if cfg.Requests.URL == "" {
		return nil
	}
	return []any{cfg.Requests, cfg.Network, cfg.StateDir}
}

// NewRemote reads for the node id. Once tells that this process is one beat, which waits for what it reads; wake wants
// a beat now.
func NewRemote(cfg *config.Config, agent, id string, once bool, wake func()) (*Remote, error) {
	store, err := remote.New(RequestsSource(cfg, agent))
	if err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	r := &Remote{Spec: RemoteSpec(cfg), store: store, id: id, stateDir: cfg.StateDir, allow: cfg.Requests.Allow, limit: cfg.Beat.LookTimeout, waits: once, wake: wake}
	r.known, _, r.wrong = r.file().Recall()
	r.ctx, r.stop = context.WithCancel(context.Background())
	_, err = r.putUnserved()
	return r, err
}

// Same tells whether it was made from such a config.
func (r *Remote) Same(cfg *config.Config) bool { return reflect.DeepEqual(r.Spec, RemoteSpec(cfg)) }

// Close ends the reading.
func (r *Remote) Close() {
	r.stop()
	r.going.Wait()
	_ = r.store.Close()
}

func (r *Remote) file() files.Remembered[known] {
	return files.Remembered[known]{Path: filepath.Join(r.stateDir, "requests.json"), What: "memory of requests", Durable: true}
}

// putUnserved leaves the Asks of requests that were taken in and not served: the process may have died between the
// two, or the disk was full. put tells that there was one.
func (r *Remote) putUnserved() (put bool, err error) {
	for _, o := range r.known.Requests {
		if !o.Asked || o.Served {
			continue
		}
		ask := journal.Ask{ID: askPrefix + o.ID, What: o.Action, Target: o.Target, By: "request " + o.ID, At: o.Answer.Time, Until: o.Until}
		if o.Action == ActionWork {
			ask.What = journal.AskAgain
		}
		if o.By != "" {
			ask.By += " of " + o.By
		}
		switch _, err := os.Lstat(Path(r.stateDir, ask.ID)); {
		case errors.Is(err, fs.ErrNotExist):
			if err := Put(r.stateDir, ask); err != nil {
				return put, err
			}
			put = true
		case err != nil:
			return put, err
		}
	}
	return put, nil
}

// Tick reads this node's requests at a beat.
func (r *Remote) Tick(now time.Time) error {
	r.mu.Lock()
	busy, wrong := r.busy, r.wrong
	r.busy = true
	r.mu.Unlock()
	if busy {
		return wrong
	}
	r.going.Go(func() { r.read(now) })
	if r.waits {
		r.going.Wait()
		return r.wrong
	}
	return wrong
}

func (r *Remote) read(now time.Time) {
	ctx, cancel := context.WithTimeout(r.ctx, r.limit)
	defer cancel()
	tip, err := gitstore.AskRequests(ctx, r.store, r.id)
	r.mu.Lock()
	before := r.known.Tip
	r.mu.Unlock()
	var list []gitstore.Request
	if err == nil && tip != "" && tip != before {
		list, err = gitstore.ReadRequests(ctx, r.store, tip)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
	if err == nil && tip != before {
		err = r.take(tip, list, now)
	}
	put, wrong := r.putUnserved()
	err = errors.Join(err, wrong)
	switch {
	case r.ctx.Err() != nil:
	case err != nil:
		r.wrong = fmt.Errorf("read requests: %w", err)
	default:
		r.wrong = nil
	}
	if put {
		r.wake()
	}
}

// take takes in what the ref asks now.
func (r *Remote) take(tip string, list []gitstore.Request, now time.Time) error {
	if len(list) > gitstore.MostRequests {
		return fmt.Errorf("%s, more than %d", human.Count(len(list), "request"), gitstore.MostRequests)
	}
	next := known{Tip: tip}
	for _, o := range r.known.Requests {
		o.Stands = slices.ContainsFunc(list, func(q gitstore.Request) bool { return q.ID == o.ID })
		if o.Stands || o.Asked && now.Before(o.Until) {
			next.Requests = append(next.Requests, o)
		}
	}
	for _, q := range list {
		if slices.ContainsFunc(next.Requests, func(o obeying) bool { return o.ID == q.ID }) {
			continue
		}
		o := obeying{Request: q, Stands: true}
		why := r.refusal(q, len(next.Requests), now)
		if o.Asked = why == ""; o.Asked {
			o.answer(presence.AnswerAccepted, "accepted", now)
		} else {
			o.answer(presence.AnswerRefused, why, now)
		}
		next.Requests = append(next.Requests, o)
	}
	if err := r.file().Save(next); err != nil {
		return err // what is not remembered is not done
	}
	r.known = next
	return nil
}

// refusal says why a request is not obeyed; "" = it is.
func (r *Remote) refusal(q gitstore.Request, others int, now time.Time) string {
	switch {
	case !slices.Contains(r.allow, q.Action):
		return fmt.Sprintf("refused: %s is not in requests.allow", human.Quote(q.Action))
	case q.Action != ActionWork && !service.ValidName(q.Target):
		return fmt.Sprintf("refused: %s needs the name of a service", q.Action)
	case !now.Before(q.Until):
		return "refused: it has expired"
	case q.Until.Sub(now) > mostAhead:
		return "refused: its end is more than a week away"
	case others >= memoryMost:
		return "refused: too many requests have not ended"
	}
	return ""
}

func (o *obeying) answer(code, state string, now time.Time) {
	o.Answer = presence.Answer{ID: o.ID, Code: code, State: human.Truncate(human.Line(state), answerLimit), Time: presence.WholeSecond(now)}
}

// Answered takes in what became of the Ask of a request; of one that goes on it comes twice.
func (r *Remote) Answered(done journal.Asked, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.known.Requests {
		o := &r.known.Requests[i]
		if askPrefix+o.ID != done.ID || o.Served && (done.Goes || o.Answer.Code != presence.AnswerAccepted) {
			continue
		}
		again := o.Action == ActionWork || o.Action == journal.AskInstall
		o.Served = true
		switch {
		case done.Error != "":
			o.answer(presence.AnswerFailed, done.Error, now)
		case done.Goes:
			o.answer(presence.AnswerAccepted, "working", now)
		case again && len(done.Did) == 0:
			o.answer(presence.AnswerDone, "done: this node has no matching item", now)
		case again:
			o.Did = done.Did
			o.answer(presence.AnswerAccepted, "working", now)
		default:
			o.answer(presence.AnswerDone, strings.TrimSuffix("done: "+strings.Join(done.Did, ", "), ": "), now)
		}
		r.save()
	}
}

// save keeps what is known. That it cannot be written is said where a request is taken in.
func (r *Remote) save() { _ = r.file().Save(r.known) }

// Fill adds the answers to a record, and takes from it how the items of requests are.
func (r *Remote) Fill(record *presence.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := false
	record.Obeys = r.allow
	for i := range r.known.Requests {
		o := &r.known.Requests[i]
		if o.Answer.Code == presence.AnswerAccepted && len(o.Did) > 0 {
			if code, state := howItEnded(*record, o.Did); code != presence.AnswerAccepted {
				o.answer(code, state, record.BeatSeen)
				changed = true
			}
		}
		if o.Stands {
			record.Answers = append(record.Answers, o.Answer)
		}
	}
	slices.SortFunc(record.Answers, func(a, b presence.Answer) int { return cmp.Compare(a.ID, b.ID) })
	if changed {
		r.save()
	}
}

// howItEnded is the answer to a request for these items.
func howItEnded(record presence.Record, items []string) (code, state string) {
	code, state = presence.AnswerDone, "done"
	for _, name := range items {
		repo, item, _ := strings.Cut(name, ":")
		for _, have := range record.Repos {
			if have.Name != repo {
				continue
			}
			if _, failed := have.Failed[item]; failed {
				return presence.AnswerFailed, "failed: " + name
			}
			if slices.Contains(have.Due, item) {
				code, state = presence.AnswerAccepted, "working"
			}
		}
	}
	return code, state
}
