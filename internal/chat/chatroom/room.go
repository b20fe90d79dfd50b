// Package chatroom opens the chat rooms that a config names, whose addresses may be in files that change.
//
// It is the door between package chat, which knows no config, and package config, which knows no chat.
package chatroom

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
)

// Room is a room of the config. Its address may be in a file, which is read at each message: a token that was changed
// there counts from the next one on.
type Room struct {
	Name    string // for people; the address is a secret
	URL     string
	URLFile string              // a path, or env:ADD_SECRET_NAME; "" = URL
	Env     func(string) string // for that
	Options chat.Options
}

// addressLimit bounds the file of an address, in bytes.
const addressLimit = 64 << 10

// Say opens the room and says a message. Its troubles have the room's name before them, and never hold the address.
func (r *Room) Say(ctx context.Context, m chat.Message) error {
	room, err := r.open()
	if err != nil {
		return err
	}
	err = room.Say(ctx, m)
	if t := (*chat.Trouble)(nil); errors.As(err, &t) {
		named := *t
		named.Room = r.Name + ": " + t.Room
		return &named
	}
	return err
}

// Check tells what is wrong with the address, and says nothing in the room.
func (r *Room) Check() error {
	_, err := r.open()
	return err
}

func (r *Room) open() (chat.Room, error) {
	address, err := r.address()
	if err != nil {
		return nil, &chat.Trouble{Room: r.Name, Permanent: true, Unasked: true, Err: err}
	}
	room, err := chat.Open(address, r.Options)
	if err != nil {
		return nil, &chat.Trouble{Room: r.Name, Permanent: true, Unasked: true, Err: err}
	}
	return room, nil
}

func (r *Room) address() (string, error) {
	if r.URLFile == "" {
		return r.URL, nil
	}
	if variable, ok := strings.CutPrefix(r.URLFile, config.SecretInEnv); ok {
		if text := strings.TrimSpace(r.Env(variable)); text != "" {
			return text, nil
		}
		return "", fmt.Errorf("%s is not set", variable)
	}
	text, err := files.ReadText(r.URLFile, addressLimit)
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", r.URLFile)
	}
	return text, err
}

// Name is what a room of the config is called: by its place there, from 0.
func Name(i int, r config.Room) string {
	if r.URLFile != "" {
		return fmt.Sprintf("room %d (%s)", i+1, r.URLFile)
	}
	return fmt.Sprintf("room %d (%s)", i+1, chat.Redact(r.URL))
}
