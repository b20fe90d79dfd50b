package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/chat/chatroom"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud/ec2"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/peers"
)

// presenceRefresh is how often nodeinfo/presence.json says that the node lives when nothing else changed.
const presenceRefresh = 10 * time.Minute

// sinks are all places that are told of this node, as the config names them. Those that a changed config leaves as they
// were go on as they are, with what they have on its way.
type sinks struct {
	nodeinfo, stateDir string
	machine            *Machine // at its cloud; nil = not a cloud instance

	mu  sync.Mutex // who ends this machine flushes beside the beats
	all []*sinkEntry
}

// sinkEntry is a sink that the config asks for. It is opened when it is first told something, and again at each beat as
// long as that fails: a folder that cannot be made, or a certificate that is not there yet, is a trouble and not the
// end.
type sinkEntry struct {
	name string
	spec any // what it is made from
	open func() (sink.Sink, func(), error)

	mu   sync.Mutex
	sink sink.Sink // nil before it is open
	stop func()
}

func (e *sinkEntry) opened() (sink.Sink, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	if e.sink == nil {
		e.sink, e.stop, err = e.open()
	}
	return e.sink, err
}

func (e *sinkEntry) Tell(ctx context.Context, r presence.Record) error {
	sink, err := e.opened()
	if err != nil {
		return err
	}
	return sink.Tell(ctx, r)
}

func (e *sinkEntry) Flush(ctx context.Context) error {
	e.mu.Lock()
	opened := e.sink
	e.mu.Unlock()
	return sink.Flush(ctx, opened)
}

func (e *sinkEntry) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		e.stop()
	}
}

// configure makes the sinks be what the config says, and returns them.
func (t *sinks) configure(cfg *config.Config) []sink.Named {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.all
	t.all = nil
	for _, w := range t.wanted(cfg) {
		i := slices.IndexFunc(before, func(old *sinkEntry) bool { return old.name == w.name && reflect.DeepEqual(old.spec, w.spec) })
		if i >= 0 {
			w = before[i]
			before = slices.Delete(before, i, i+1)
		}
		t.all = append(t.all, w)
	}
	for _, old := range before {
		old.Close()
	}
	return t.named()
}

func (t *sinks) named() []sink.Named {
	var all []sink.Named
	for _, one := range t.all {
		all = append(all, sink.Named{Name: one.name, Sink: one})
	}
	return all
}

// wanted lists what the config asks for. Files come first: they show the node's state even if all else fails.
func (t *sinks) wanted(cfg *config.Config) (all []*sinkEntry) {
	add := func(name string, spec []any, open func() (sink.Sink, func(), error)) {
		all = append(all, &sinkEntry{name: name, spec: spec, open: open})
	}
	add("files", nil, func() (sink.Sink, func(), error) {
		return sink.NewFiles(t.nodeinfo, presenceRefresh), func() {}, nil
	})
	if p := cfg.Presence; p.URL != "" {
		add("presence", []any{p.URL, p.Auth, p.RefPrefix, p.Refresh, p.PushesPerMinute, cfg.Network, cfg.Beat.LookTimeout}, func() (sink.Sink, func(), error) {
			store, err := remote.New(PresenceSource(cfg))
			if err != nil {
				return nil, nil, err
			}
			git := gitstore.New(gitstore.Options{Remote: store, Source: PresenceSource(cfg).Redacted(), Prefix: p.RefPrefix, StateFile: PresenceMemory(t.stateDir), Refresh: p.Refresh, Pushes: p.PushesPerMinute, Timeout: peers.Patience * cfg.Beat.LookTimeout})
			return git, func() { git.Close(); _ = store.Close() }, nil
		})
	}
	for i, r := range cfg.Chat {
		if r.From == "node" {
			add(fmt.Sprintf("chat %d", i+1), []any{r, cfg.Network}, func() (sink.Sink, func(), error) {
				return t.room(chatroom.Name(i, r), r, cfg.Network)
			})
		}
	}
	if t.machine != nil && cfg.EC2.Tags != "off" {
		// The first shows the state in the machine's tags; by the second a group can count on it once its init is done.
		add("ec2", []any{cfg.EC2, cfg.Network}, t.machine.sink(cfg, "tags", func(i *ec2.Instance) sink.Sink { return sink.NewTags(i, tagsMemory(t.stateDir)) }))
		if cfg.EC2.LifecycleHook != "" {
			add("ec2 hook", []any{cfg.EC2, cfg.Network}, t.machine.sink(cfg, "hook", func(i *ec2.Instance) sink.Sink {
				return sink.NewInitDone(i.CompleteLifecycle, hookMemory(t.stateDir))
			}))
		}
	}
	return all
}

// room opens the outbox of one room. What it has to say waits in a folder of its own, named by the room and not by its
// place in the config: another room must not get it.
func (t *sinks) room(name string, r config.Room, network config.Network) (sink.Sink, func(), error) {
	transport, err := transport.Transport(network)
	if err != nil {
		return nil, nil, err
	}
	dir := RoomDir(t.stateDir, r)
	room := &chatroom.Room{Name: name, URL: r.URL, URLFile: r.URLFile, Env: os.Getenv, Options: chat.Options{UserAgent: cli.UserAgent("addagent"), Transport: transport}}
	outbox, err := chat.NewOutbox(room, filepath.Join(dir, "spool"), chat.Limits{})
	if err != nil {
		return nil, nil, err
	}
	return sink.NewChat(outbox, r.Only == "critical", filepath.Join(dir, "told.json")), func() { _ = outbox.Close() }, nil
}

// roomsDir is where what rooms were told, and are to be told, is kept.
func roomsDir(stateDir string) string { return filepath.Join(stateDir, "chat") }

// RoomDir is the folder of one room.
func RoomDir(stateDir string, r config.Room) string {
	name := sha256.Sum256([]byte(r.URL + "\n" + r.URLFile + "\n" + r.Only))
	return filepath.Join(roomsDir(stateDir), hex.EncodeToString(name[:6]))
}

// sweep removes what was left for rooms that are no longer in the config.
func (t *sinks) sweep(cfg *config.Config) {
	entries, err := os.ReadDir(roomsDir(t.stateDir))
	if err != nil {
		return // there is nothing
	}
	for _, e := range entries {
		dir := filepath.Join(roomsDir(t.stateDir), e.Name())
		if !slices.ContainsFunc(cfg.Chat, func(r config.Room) bool { return RoomDir(t.stateDir, r) == dir }) {
			_ = os.RemoveAll(dir) // what stays is swept the next time
		}
	}
}

func (t *sinks) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range slices.Backward(t.all) {
		one.Close()
	}
	t.all = nil
}

// flush waits until what was told has arrived everywhere. The error is that of the presence repository alone: a room
// that is away must not stand in the way of what waits for this.
func (t *sinks) flush(ctx context.Context) error {
	t.mu.Lock()
	all := t.named()
	t.mu.Unlock()
	for i, err := range sink.FlushAll(ctx, all) {
		if all[i].Name == "presence" {
			return err
		}
	}
	return nil
}

// published are the services as the presence repository has them; used is false without such a repository.
func (t *sinks) published() (all []presence.Service, used bool) {
	for _, one := range t.all {
		if one.name != "presence" {
			continue
		}
		used = true
		store, _ := one.opened() // without it nothing is published
		if git, ok := store.(*gitstore.Sink); ok {
			all = git.Published().Services
		}
	}
	return all, used
}

// PresenceSource is where the presence repository is.
func PresenceSource(cfg *config.Config) remote.Source {
	return remote.Source{URL: cfg.Presence.URL, Auth: cfg.Presence.Auth, Network: cfg.Network, Agent: cli.UserAgent("addagent")}
}

// PresenceMemory is where this node remembers its own ref; it belongs to the hardware.
func PresenceMemory(stateDir string) string { return filepath.Join(stateDir, "presence.json") }
