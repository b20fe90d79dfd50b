package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/chat/chatroom"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

const (
	// sayTime bounds one room: a script waits for it.
	sayTime = 30 * time.Second
	// sayLimit bounds a message, in bytes; services take less.
	sayLimit = 64 << 10
)

func (p *program) sayCommand() *cobra.Command {
	s := &saying{program: p}
	c := &cobra.Command{
		Use:   "chat:say",
		Short: "Post standard input to the configured chat rooms",
		Long: `Sends standard input at once to every room of the config's chat, or to those that --room
or --url-file names, without a spool. It reads the text from standard input because the
process list shows arguments. A room with only: critical receives it only with
--critical. It prints neither the text nor an address.

Exit codes: 0 every room accepted it, 1 a room refused it or could not be reached, 2 misuse
(no text, no room, bad config), 130 interrupted.`,
		Example: `  echo "release 41 is out" | addctl chat:say --colour green
  df -h / | addctl chat:say --critical --colour red --room 2
  echo hello | addctl chat:say --url-file ./hipchat-url`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.say(c.Context()) },
	}
	c.Flags().IntSliceVar(&s.numbers, "room", nil, "only the `N`th room of the config, from 1; several with commas")
	c.Flags().StringSliceVar(&s.urlFiles, "url-file", nil, "the room whose address is in `FILE`, instead of those of the config")
	c.Flags().StringVar(&s.message.Colour, "colour", "gray", "`COLOUR`: yellow (started), green (success), red (trouble), gray or purple")
	c.Flags().BoolVar(&s.message.Critical, "critical", false, "notify people")
	return c
}

// colours are those of chat.Message.
func colours() []string { return []string{"yellow", "green", "red", "gray", "purple"} }

// saying is one message and where it goes.
type saying struct {
	*program
	message  chat.Message
	numbers  []int
	urlFiles []string
}

func (s *saying) say(ctx context.Context) error {
	if all := colours(); !slices.Contains(all, s.message.Colour) {
		return cli.Misuse(fmt.Errorf("--colour %s: give one of %s", s.message.Colour, strings.Join(all, ", ")))
	}
	rooms, err := s.rooms()
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(s.In, sayLimit+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the text: %w", err)
	case len(data) > sayLimit:
		return cli.Misuse(fmt.Errorf("the text is longer than %s, the limit of rooms", human.BinarySize(sayLimit)))
	}
	if s.message.Text = strings.TrimSpace(strings.ToValidUTF8(string(data), "?")); s.message.Text == "" {
		return cli.Misuse(errors.New("no text on standard input"))
	}
	s.message.Time = time.Now()
	if failed := s.tell(ctx, rooms); ctx.Err() != nil {
		return &cli.Exit{Code: cli.ExitInterrupted}
	} else if failed {
		return &cli.Exit{Code: cli.ExitFailed}
	}
	return nil
}

// tell posts the message, and says which rooms did not take it.
func (s *saying) tell(ctx context.Context, rooms []chat.Room) (failed bool) {
	// All at once: a room that does not answer must not keep the others waiting.
	errs := make([]error, len(rooms))
	var all sync.WaitGroup
	for i, r := range rooms {
		all.Go(func() {
			try, stop := context.WithTimeoutCause(ctx, sayTime, fmt.Errorf("no answer within %s", human.Setting(sayTime)))
			defer stop()
			errs[i] = r.Say(try, s.message)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil && ctx.Err() == nil {
			s.says("%v", err)
			failed = true
		}
	}
	return failed
}

// alarm tells all rooms of the config what needs a person.
func (p *program) alarm(ctx context.Context, text string) {
	s := saying{program: p, message: chat.Message{Text: text, Colour: "red", Critical: true, Time: time.Now()}}
	cfg, err := p.setup.ReadConfig()
	if err != nil || len(cfg.Chat) == 0 {
		return // the service says what is wrong with the config
	}
	rooms, err := s.rooms()
	if err != nil {
		p.says("%v", err)
	}
	s.tell(ctx, rooms)
}

// rooms are those that the message goes to.
func (s *saying) rooms() ([]chat.Room, error) {
	var cfg *config.Config
	var err error
	if len(s.urlFiles) > 0 && s.setup.Config == "" {
		cfg = &config.Config{} // whatever the config says, it is not asked
	} else if cfg, err = s.setup.ReadConfig(); err != nil {
		return nil, cli.Misuse(err)
	}
	through, err := transport.Transport(cfg.Network)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	if len(s.urlFiles) > 0 {
		if len(s.numbers) > 0 {
			return nil, cli.Misuse(errors.New("--room and --url-file: give only one"))
		}
		return s.byFile(through)
	}
	if len(cfg.Chat) == 0 {
		return nil, cli.Misuse(errors.New("the config has no chat: add a room, or give --url-file FILE"))
	}
	var rooms []chat.Room
	for _, n := range s.numbers {
		if n < 1 || n > len(cfg.Chat) {
			return nil, cli.Misuse(fmt.Errorf("--room %d: the config has %s", n, human.Count(len(cfg.Chat), "room")))
		}
	}
	for i, r := range cfg.Chat {
		switch {
		case len(s.numbers) > 0 && !slices.Contains(s.numbers, i+1):
		case r.Only == "critical" && !s.message.Critical:
			s.says("%s receives only critical messages, and is skipped", chatroom.Name(i, r))
		default:
			rooms = append(rooms, s.setup.Room(chatroom.Name(i, r), r.URL, r.URLFile, through))
		}
	}
	return rooms, nil
}

func (s *saying) byFile(through http.RoundTripper) ([]chat.Room, error) {
	var rooms []chat.Room
	for _, file := range s.urlFiles {
		path, err := filepath.Abs(file)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, cli.Misuse(fmt.Errorf("--url-file: %w", err))
		}
		rooms = append(rooms, s.setup.Room(file, "", path, through))
	}
	return rooms, nil
}
