package agent

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
)

// applyBrakes reads what is disabled and by whom: at the start of a beat, and whenever work is
// about to start. Brakes that cannot be read count as set, as their content is unknown.
func (a *Agent) applyBrakes(now time.Time) {
	before := a.life.brakes.Repos
	brakes, err := a.Control.Brakes(now)
	if err != nil {
		brakes = node.Brakes{Disabled: &node.Brake{Reason: err.Error()}, Repos: before, Drained: a.life.brakes.Drained, Wedged: a.life.brakes.Wedged}
	}
	a.life.brakes = brakes
	for repo, b := range brakes.Repos {
		if _, known := before[repo]; !known {
			a.say(journal.Notice, "addagent status", "%s disabled: %s", repo, b)
		}
	}
	for repo := range before {
		if _, still := brakes.Repos[repo]; !still {
			a.say(journal.Notice, "", "%s enabled", repo)
		}
	}
}

// serveRequests does what people asked for. Memory is changed under the work lock only,
// so a request waits for the end of the work in hand.
func (a *Agent) serveRequests(b *journal.Beat, now time.Time) {
	changed := false
	for _, ask := range a.beats.requests {
		ask.By = cmp.Or(ask.By, "a user")
		done := journal.Asked{Ask: ask}
		if ask.What != journal.AskBeat {
			if a.runs.inHand != nil || !a.acquire() {
				continue
			}
			if done.Error = "expired before it could be served"; ask.Until.IsZero() || now.Before(ask.Until) {
				done = a.serveRequest(ask, now)
			}
			if len(done.Did) > 0 {
				changed = true
				a.say(journal.Notice, "", "%s requested by %s: %s", ask.What, ask.By, strings.Join(done.Did, ", "))
			}
		}
		b.Asked = append(b.Asked, done)
	}
	if changed {
		a.applyBrakes(now) // one may have been about a drain
		a.judge(now)
	}
}

// serveRequest does what one request asks for.
func (a *Agent) serveRequest(ask journal.Ask, now time.Time) (done journal.Asked) {
	if done.Ask = ask; ask.What == journal.AskInstall {
		if ask.Target, done.Error = a.Services.Installs(&a.trees.inventory, ask.Target); done.Error != "" {
			return done
		}
		ask.What = journal.AskAgain
	} else if slices.Contains(journal.ServiceAsks, ask.What) {
		return a.Services.Ask(&a.trees.inventory, ask, now)
	}
	done.Did, done.Error = a.again(ask)
	return done
}

// answerServices tells what became of requests about services.
func (a *Agent) answerServices(now time.Time) {
	for _, done := range a.Services.Ended(a.runs.inHand, now) {
		a.Control.Answered(done, now)
		a.Services.Forget(done.ID)
	}
}

// again makes the items that are meant forget what was done, or that it failed.
func (a *Agent) again(ask journal.Ask) (did []string, wrong string) {
	repo, _, _ := strings.Cut(ask.Target, ":")
	if ask.What == journal.AskAgain && ask.Target == repo+":"+string(work.Init) && repo == a.info.InitGitRepo && a.life.initDone {
		// Not among the judgements: it was done once and for all.
		if err := a.Runner.Again(repo, string(work.Init), ask.By); err != nil {
			return nil, err.Error()
		}
		a.life.initDone, a.trees.initFinished = false, nil
		return []string{ask.Target}, ""
	}
	var names []string
	for i, j := range a.trees.inventory.Judgements {
		name := j.Item.ID()
		names = append(names, name)
		if ask.Target != "" && ask.Target != j.Item.Repo && ask.Target != name {
			continue
		}
		var err error
		was := true
		switch {
		case ask.What == journal.AskAgain:
			err = a.Runner.Again(j.Item.Repo, j.Item.Name, ask.By)
		case j.Item.Problem != "":
			was, err = false, errors.New(name+" needs a push: "+j.Item.Problem)
		case a.trees.next[i].Wedged || a.trees.next[i].Failing || a.trees.startFail[name] != "":
			err = a.Runner.Unwedge(j.Item.Repo, j.Item.Name)
		default:
			was = false
		}
		if err != nil {
			wrong = err.Error()
		} else if was {
			did = append(did, name)
		}
	}
	switch {
	case wrong != "" || len(did) > 0 || ask.Target == "":
	case slices.ContainsFunc(names, func(n string) bool { return n == ask.Target || strings.HasPrefix(n, ask.Target+":") }):
		wrong = ask.Target + " is neither wedged nor failing"
	case len(names) == 0:
		wrong = fmt.Sprintf("unknown item %s: this node has no items", ask.Target)
	default:
		wrong = fmt.Sprintf("unknown item %s; the items are: %s", ask.Target, strings.Join(names, ", "))
	}
	return did, wrong
}
