package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/peers"
)

// repositories are a check for each repository of this node, and one for each of its mirrors.
func (d *Checker) repositories() []probe {
	repos, err := daemon.OpenClones(d.cfg, d.info)
	if err != nil {
		return nil // settle said it
	}
	defer repos.Close()
	var all []probe
	for _, r := range repos.Known() {
		name := "repo " + r.Name
		if r.Problem != nil {
			all = append(all, probe{name, 1, func(context.Context) []Finding {
				return []Finding{broken(r.Problem, "add it to the config (repos:), or remove it from gitrepo/")}
			}})
			continue
		}
		for i, at := range append([]string{r.Source.URL}, r.Source.Mirrors...) {
			source := r.Source
			source.URL, source.Mirrors = at, nil
			if i > 0 {
				name = fmt.Sprintf("repo %s mirror %d", r.Name, i)
			}
			all = append(all, probe{name, 1, func(ctx context.Context) []Finding { return []Finding{tryRepo(ctx, source)} }})
		}
	}
	if len(all) == 0 {
		all = append(all, probe{"repo", 1, func(context.Context) []Finding {
			return []Finding{note("no repositories", "add some to the config (repos:), or put clones into gitrepo/")}
		}})
	}
	return all
}

// tryRepo asks one address of a repository where the branch is.
func tryRepo(ctx context.Context, s remote.Source) Finding {
	start := time.Now()
	a, err := remote.Try(ctx, s)
	if err != nil {
		return refusedBy(s.Redacted(), hurried(ctx, err))
	}
	text := fmt.Sprintf("%s: %s at %s", s.Redacted(), a.Tip.Branch, human.ID(a.Tip.ID))
	if a.Protocol != "" {
		text += ", protocol " + a.Protocol
	}
	if a.With != "" {
		text += ", with " + a.With
	}
	text += ", " + human.Duration(time.Since(start))
	if a.Protocol == "v0" {
		return note(text+": each look lists all refs of the server", "enable git protocol v2: pass the HTTP header Git-Protocol, set AcceptEnv GIT_PROTOCOL in sshd, or install a newer git there")
	}
	return good("%s", text)
}

// refusedBy is a place that did not do what was asked.
func refusedBy(place string, err error) Finding {
	f := broken(err, reach(place, err))
	if !strings.Contains(f.Text, place) {
		f.Text = place + ": " + f.Text
	}
	return f
}

// reach is how to find out why a place does not answer as it should, where the error does not say it.
func reach(place string, err error) string {
	if strings.HasPrefix(place, "/") {
		return "check the path: ls -la " + place
	}
	if remote.Busy(err) {
		return "wait, the agent retries by itself; if it persists, check the limits and the health of that server"
	}
	if own := (*fs.PathError)(nil); errors.As(err, &own) { // a secret; a server has no paths of ours
		return "write " + own.Path + ", or correct its path in the config"
	}
	var l late
	var unreached net.Error
	if !errors.As(err, &l) && !errors.As(err, &unreached) {
		return "check that this is the address of a git repository, and read its server's log"
	}
	host := place
	if u, err := url.Parse(place); err == nil && u.Host != "" {
		host = u.Host
	} else if before, _, ok := strings.Cut(place, ":"); ok {
		host = before
	}
	return "check that " + host + " is up and reachable from this machine: DNS, route, firewall, network.proxy"
}

// presence tries all that this node does with the presence repository: to see it, to know its own ref, to push, to read
// the others.
func (d *Checker) presence(ctx context.Context) []Finding {
	p := d.cfg.Presence
	if p.URL == "" {
		return []Finding{skip("presence is off: presence.url is not set")}
	}
	at := remote.Source{URL: p.URL}.Redacted()
	store, err := remote.New(daemon.PresenceSource(d.cfg))
	if err != nil {
		return []Finding{refusedBy(at, err)}
	}
	defer store.Close()

	start := time.Now()
	var refs []remote.Ref
	if err := d.ask(ctx, func(ctx context.Context) (err error) {
		refs, err = store.Refs(ctx, p.RefPrefix, gitstore.FoldRef)
		return err
	}); err != nil {
		return []Finding{refusedBy(at, err)}
	}
	nodes, folded := 0, false
	for _, r := range refs {
		if _, ok := gitstore.IDOf(p.RefPrefix, r.Name); ok {
			nodes++
		}
		folded = folded || r.Name == gitstore.FoldRef
	}
	found := []Finding{good("%s: %s, %s", at, human.Count(nodes, "node"), human.Duration(time.Since(start)))}
	if d.me.ID == "" {
		found = append(found, skip("the id of this node is unknown").named("presence ref"))
	} else {
		found = append(found, d.ownRef(ctx, store)...)
	}
	return append(found, d.fold(ctx, nodes, folded).named("presence fold"))
}

// ruled matches what servers say where not only the compare of the test push failed.
var ruled = regexp.MustCompile(`(?i)hook|declined|protect|prohibit|denied|forbidden|not allowed|not permitted`)

// ownRef tells whose this node's ref is, and whether a push to it would be let in.
func (d *Checker) ownRef(ctx context.Context, store *remote.Repository) []Finding {
	ref := gitstore.RefName(d.cfg.Presence.RefPrefix, d.me.ID)
	at := remote.Source{URL: d.cfg.Presence.URL}.Redacted()
	hostname, _ := os.Hostname()
	addresses, _ := presence.Addresses()
	ours := presence.Record{InstanceID: d.me.ID, Hardware: d.me.Hardware.String(), Hostname: hostname, Addresses: addresses, BootID: node.System{}.BootID()}

	var tip, refused string
	whose := good("%s does not exist yet: the first beat creates it", ref)
	if err := d.ask(ctx, func(ctx context.Context) error {
		t, said, err := gitstore.ReadOwnRef(ctx, store, ref, ours, daemon.PresenceMemory(d.cfg.StateDir))
		if tip = t; t != "" {
			whose = good("%s belongs to this node: %s, written at %s", ref, said.State, human.When(said.BeatSeen, d.Now))
		}
		return err
	}); err != nil {
		whose = refusedBy(ref, err)
	}
	err := d.ask(ctx, func(ctx context.Context) (err error) {
		refused, err = gitstore.CanPush(ctx, store, ref, tip)
		return err
	})
	push := good("the server accepts pushes from this node")
	switch {
	case err != nil:
		push = refusedBy(at, err)
	case ruled.MatchString(strings.ReplaceAll(refused, ref, "")):
		push = note("a hook or a rule of the server refused the test push: "+refused, "see that its hooks and protected branches let "+ref+" be moved, not only forward")
	}
	return []Finding{whose.named("presence ref"), push.named("presence push")}
}

// requests tells whether this node can read what is asked of it, and cannot write it. With a key that can, any node
// could ask all others.
func (d *Checker) requests(ctx context.Context) Finding {
	at := remote.Source{URL: d.cfg.Requests.URL}.Redacted()
	store, err := remote.New(request.RequestsSource(d.cfg, cli.UserAgent("addagent")))
	if err != nil {
		return refusedBy(at, err)
	}
	defer store.Close()
	id := cmp.Or(d.me.ID, "unknown")
	tip := ""
	if err := d.ask(ctx, func(ctx context.Context) (err error) {
		tip, err = gitstore.AskRequests(ctx, store, id)
		return err
	}); err != nil {
		return refusedBy(at, err)
	}
	refused := ""
	err = d.ask(ctx, func(ctx context.Context) (err error) {
		refused, err = gitstore.CanPush(ctx, store, gitstore.RequestRef(id), tip)
		return err
	})
	if err == nil && !ruled.MatchString(strings.ReplaceAll(refused, gitstore.RequestRef(id), "")) {
		return fail(at+" takes pushes from this node: with its key, all nodes can be asked for work", "let nodes only read that repository")
	}
	return good("%s: readable, and not writable from here; allowed: %s", at, human.List(d.cfg.Requests.Allow, "and"))
}

// manyNodes is how many refs each reader may have to read itself before a fold is worth advice.
const manyNodes = 50

// fold tells whether the others are read from a fold that is kept up.
func (d *Checker) fold(ctx context.Context, nodes int, there bool) Finding {
	if !there {
		if nodes == 0 {
			return good("no nodes and no fold yet")
		}
		text := fmt.Sprintf("no fold: each reader reads the refs of %s", human.Count(nodes, "node"))
		if nodes > manyNodes {
			return note(text, "run addctl presence:fold on one machine")
		}
		return good("%s", text)
	}
	var f presence.Fleet
	if err := d.ask(ctx, func(ctx context.Context) (err error) {
		f, err = peers.ReadNow(ctx, daemon.PresenceSource(d.cfg), d.cfg.Presence.RefPrefix, false, d.Now)
		return err
	}); err != nil {
		return refusedBy(gitstore.FoldRef, err)
	}
	if f.From != presence.FromFold {
		text := fmt.Sprintf("%s is out of date: each reader reads the refs of %s", gitstore.FoldRef, human.Count(nodes, "node"))
		if len(f.Notes) > 0 {
			text += ": " + f.Notes[0]
		}
		return note(text, "check that addctl presence:fold still runs")
	}
	return good("folded at %s, %s", human.When(f.Folded, d.Now), human.Count(len(f.Nodes), "node"))
}
