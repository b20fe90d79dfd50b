package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/chat"
	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/presence/fleet"
)

// roomOf is a room by its address, or by the file or variable that holds it.
func (p *process) roomOf(name, url, file string, through http.RoundTripper) chat.Room {
	return &cli.Room{Name: name, URL: url, URLFile: file, Env: p.Env, Options: chat.Options{UserAgent: "addctl/" + version, Transport: through}}
}

// speaker tells rooms of the fleet. What they were told is in a file, so that a
// restart says nothing twice.
type speaker struct {
	rooms []chat.Room
	boxes []*chat.Outbox
	told  []spoken
	file  string
}

// newSpeaker opens the rooms of a config that want to be told by who folds; nil when
// there is none.
func (p *process) newSpeaker(cfg *config.Config, o fleet.Options) (*speaker, error) {
	through, err := cli.NetworkOf(cfg.Network).Transport()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cfg.StateDir, "addctl")
	s := &speaker{file: filepath.Join(dir, "told-"+hash(o.Source.Redacted(), o.Prefix)+".json")}
	for i, r := range cfg.Chat {
		if r.From != "fleet" {
			continue
		}
		box, err := chat.NewOutbox(p.roomOf(cli.RoomName(i, r), r.URL, r.URLFile, through), filepath.Join(dir, "chat-"+hash(r.URL, r.URLFile)), chat.Limits{})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", cli.RoomName(i, r), err), s.close())
		}
		s.boxes = append(s.boxes, box)
		if r.Only == "critical" {
			s.rooms = append(s.rooms, chat.Critical{Room: box})
		} else {
			s.rooms = append(s.rooms, box)
		}
	}
	if len(s.rooms) == 0 {
		return nil, nil
	}
	return s, s.recall()
}

func hash(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return hex.EncodeToString(sum[:6])
}

// flushLook is how often flush looks whether a room has a trouble.
const flushLook = 100 * time.Millisecond

// recall reads what the rooms were told by an earlier process.
func (s *speaker) recall() error {
	data, err := files.ReadSmall(s.file, 16<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.told)
	}
	if err == nil {
		return nil
	}
	// Without it what is wrong is said again, which is better than nothing at all.
	s.told = nil
	if _, aside := files.SetAside(s.file, "corrupt"); aside != nil {
		return errors.Join(err, aside)
	}
	return nil
}

// tell tells the rooms what is new. The error is about the disk; troubles tells how the
// rooms are. Both begin with chat.
func (s *speaker) tell(ctx context.Context, f fleet.Fleet, now time.Time) error {
	told, messages := speak(s.told, f, now)
	var errs []error
	for _, m := range messages {
		for _, r := range s.rooms {
			errs = append(errs, r.Say(ctx, m)) // an outbox: it waits for nobody
		}
	}
	if len(messages) > 0 || s.told == nil || len(told) != len(s.told) {
		data, err := json.MarshalIndent(told, "", "  ")
		if err == nil {
			err = files.Replace(s.file, append(data, '\n'), 0o600)
		}
		errs = append(errs, err)
	}
	s.told = told
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}

// troubles are those that the rooms have now.
func (s *speaker) troubles() error {
	var errs []error
	for _, b := range s.boxes {
		errs = append(errs, b.Trouble())
	}
	return errors.Join(errs...)
}

// flush waits until ctx ends for what was put in last, and gives up the rooms. What
// was not said is on disk: an error only where a room has a trouble, and for one that
// has nobody waits.
func (s *speaker) flush(ctx context.Context) error {
	for _, b := range s.boxes {
		ctx, stop := context.WithCancel(ctx)
		go func() {
			defer stop()
			_ = b.Flush(ctx) // that some wait is no trouble of a room that takes its time
		}()
		look := time.NewTicker(flushLook)
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-look.C:
				if b.Trouble() != nil {
					stop()
				}
			}
		}
		look.Stop()
	}
	return errors.Join(s.troubles(), s.close())
}

func (s *speaker) close() error {
	var errs []error
	for _, b := range s.boxes {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// author is who commits the fold.
func author() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
