package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/addagent/addagent/chat"
	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/files"
)

// Room is a room of the config. The address is read each time that something is said, which is seldom: a file with a new
// token is in force at once.
type Room struct {
	config.Room
	Options chat.Options

	mu      sync.Mutex
	address string // of open
	open    chat.Room
}

// addressLimit bounds the file of an address.
const addressLimit = 64 << 10

// Say is chat.Room's. The error never holds the address.
func (r *Room) Say(ctx context.Context, m chat.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	address, err := r.Address()
	if err != nil {
		return err
	}
	if r.open == nil || address != r.address {
		if r.open, err = chat.Open(address, r.Options); err != nil {
			return fmt.Errorf("%s: %w", r.Where(), err)
		}
		r.address = address
	}
	return r.open.Say(ctx, m)
}

// Address is the secret as a whole.
func (r *Room) Address() (string, error) {
	if r.URLFile == "" {
		return r.URL, nil
	}
	text := ""
	if name, ok := strings.CutPrefix(r.URLFile, config.SecretInEnv); ok {
		text = os.Getenv(name)
	} else {
		data, err := files.ReadSmall(r.URLFile, addressLimit)
		if err != nil {
			return "", fmt.Errorf("chat url_file: %w", err)
		}
		text = string(data)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", fmt.Errorf("chat url_file: %s is empty: write the address of the room into it", r.URLFile)
	}
	return text, nil
}

// Where names the room for people, without its secret.
func (r *Room) Where() string {
	if r.URLFile != "" {
		return r.URLFile
	}
	return chat.Redact(r.URL)
}
