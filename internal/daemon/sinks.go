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

// sinkEntry is one of them.
type sinkEntry struct {
	name string
	spec any // what it was made from
	sink sink.Sink
	stop func()
}

// wantedSink is a teller that the config asks for.
type wantedSink struct {
	name string
	spec any
	open func() (sink.Sink, func(), error)
}

// configure makes the tellers be what the config says, and returns them as sinks.
func (t *sinks) configure(cfg *config.Config) []sink.Named {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.all
	t.all = nil
	for _, w := range t.wanted(cfg) {
		i := slices.IndexFunc(before, func(old *sinkEntry) bool { return old.name == w.name && reflect.DeepEqual(old.spec, w.spec) })
		if i >= 0 {
			t.all = append(t.all, before[i])
			before = slices.Delete(before, i, i+1)
			continue
		}
		late := &opener{open: w.open}
		t.all = append(t.all, &sinkEntry{name: w.name, spec: w.spec, sink: late, stop: late.Close})
	}
	for _, old := range before {
		old.stop()
	}
	var sinks []sink.Named
	for _, one := range t.all {
		sinks = append(sinks, sink.Named{Name: one.name, Sink: one.sink})
	}
	return sinks
}

// wanted lists what the config asks for. Files come first: they show the node's state even if all else fails.
func (t *sinks) wanted(cfg *config.Config) []wantedSink {
	all := []wantedSink{{"files", nil, func() (sink.Sink, func(), error) {
		return sink.NewFiles(t.nodeinfo, presenceRefresh), func() {}, nil
	}}}
	if p := cfg.Presence; p.URL != "" {
		all = append(all, wantedSink{"presence", []any{p.URL, p.Auth, p.RefPrefix, p.Refresh, p.PushesPerMinute, cfg.Network, cfg.Beat.LookTimeout}, func() (sink.Sink, func(), error) {
			store, err := remote.New(PresenceSource(cfg))
			if err != nil {
				return nil, nil, err
			}
			git := gitstore.New(gitstore.Options{Remote: store, Source: PresenceSource(cfg).Redacted(), Prefix: p.RefPrefix, StateFile: PresenceMemory(t.stateDir), Refresh: p.Refresh, Pushes: p.PushesPerMinute, Timeout: peers.Patience * cfg.Beat.LookTimeout})
			return sink.NewAlarm(git, t.voices, filepath.Join(t.stateDir, "alarm.json")), func() { git.Close(); _ = store.Close() }, nil
		}})
	}
	for i, r := range cfg.Chat {
		if r.From == "node" {
			all = append(all, wantedSink{fmt.Sprintf("chat %d", i+1), []any{r, cfg.Network}, func() (sink.Sink, func(), error) {
				return t.room(chatroom.Name(i, r), r, cfg.Network)
			}})
		}
	}
	if t.machine != nil && cfg.EC2.Tags != "off" {
		all = append(all, wantedSink{"ec2", []any{cfg.EC2, cfg.Network}, func() (sink.Sink, func(), error) { return t.machine.tags(cfg) }})
		if cfg.EC2.LifecycleHook != "" {
			all = append(all, wantedSink{"ec2 hook", []any{cfg.EC2, cfg.Network}, func() (sink.Sink, func(), error) { return t.machine.hook(cfg) }})
		}
	}
	return all
}

// voices are those of the rooms that are open.
func (t *sinks) voices() []sink.Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []sink.Room
	for _, one := range t.all {
		if o, ok := one.sink.(*opener); ok {
			o.mu.Lock()
			if c, ok := o.sink.(*sink.Chat); ok {
				all = append(all, c.Room)
			}
			o.mu.Unlock()
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

// sweep removes what was left for rooms that are in the config no more.
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
	for i := len(t.all) - 1; i >= 0; i-- {
		t.all[i].stop()
	}
	t.all = nil
}

// flush waits until what was told has arrived everywhere. The error is that of the presence repository alone: a room
// that is away must not stand in the way of what waits for this.
func (t *sinks) flush(ctx context.Context) error {
	t.mu.Lock()
	all := slices.Clone(t.all)
	t.mu.Unlock()
	errs := make([]chan error, len(all))
	for i, one := range all {
		errs[i] = make(chan error, 1)
		f, ok := one.sink.(sink.Flusher)
		if !ok {
			errs[i] <- nil
			continue
		}
		go func() { errs[i] <- f.Flush(ctx) }()
	}
	var wrong error
	for i, one := range all {
		if err := <-errs[i]; one.name == "presence" {
			wrong = err
		}
	}
	return wrong
}

// opener is a sink that is opened when it is first told something, and again at each beat as long as that fails: a
// folder that cannot be made, or a certificate that is not there yet, is a trouble and not the end.
type opener struct {
	open func() (sink.Sink, func(), error)

	mu   sync.Mutex
	sink sink.Sink
	stop func()
}

func (o *opener) Tell(ctx context.Context, r presence.Record) error {
	sink, err := o.opened()
	if err != nil {
		return err
	}
	return sink.Tell(ctx, r)
}

func (o *opener) opened() (sink.Sink, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if o.sink == nil {
		o.sink, o.stop, err = o.open()
	}
	return o.sink, err
}

func (o *opener) Flush(ctx context.Context) error {
	o.mu.Lock()
	f, ok := o.sink.(sink.Flusher)
	o.mu.Unlock()
	if ok {
		return f.Flush(ctx)
	}
	return nil
}

func (o *opener) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stop != nil {
		o.stop()
	}
}

// PresenceSource is where the presence repository is.
func PresenceSource(cfg *config.Config) remote.Source {
	return remote.Source{URL: cfg.Presence.URL, Auth: cfg.Presence.Auth, Network: cfg.Network, Agent: cli.UserAgent("addagent")}
}

// PresenceMemory is where this node remembers its own ref; it belongs to the hardware.
func PresenceMemory(stateDir string) string { return filepath.Join(stateDir, "presence.json") }
