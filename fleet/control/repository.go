package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// Repository is the presence repository, opened to be read.
type Repository struct {
	*fold.Reader
	fold.Options
}

// Open opens the presence repository. It asks no server.
func (s *Setup) Open() (*Repository, error) { return s.OpenAs("nodes") }

// OpenAs is Open for a service of a name: neither the commands of a person nor another service share its cache.
func (s *Setup) OpenAs(kind string) (*Repository, error) {
	cfg, err := s.ReadConfig()
	if err != nil {
		return nil, err
	}
	o, err := s.options(cfg, kind)
	if err != nil {
		return nil, err
	}
	r, err := fold.NewReader(o)
	if err != nil {
		return nil, err
	}
	return &Repository{Reader: r, Options: o}, nil
}

// Read reads the nodes as they are now.
func (r *Repository) Read(ctx context.Context) (presence.Fleet, error) {
	f, err := r.Reader.Read(ctx, time.Now())
	return f, r.unreadable(err)
}

// Services reads the nodes, and the services that they offer and use. The endpoints are those of the index, as long as
// the fold is kept: it knows which silent nodes have left their sets.
func (r *Repository) Services(ctx context.Context) (presence.Fleet, []presence.ServiceStatus, error) {
	f, err := r.Read(ctx)
	if err != nil {
		return f, nil, err
	}
	now := time.Now()
	ends := presence.EndpointsOf(nil, f, now)
	if f.From == presence.FromFold {
		if ends, err = r.Endpoints(ctx, now); err != nil {
			return f, nil, r.unreadable(err)
		}
	}
	return f, presence.ServicesOf(ends, f, now), nil
}

// History reads the transitions of a node, or of all for "", since a time.
func (r *Repository) History(ctx context.Context, id string, since time.Time) ([]fold.Transition, error) {
	list, err := r.Reader.History(ctx, id, since)
	return list, r.unreadable(err)
}

// LeasePrefix is what the refs of leases begin with.
func (r *Repository) LeasePrefix() string {
	return strings.TrimSuffix(gitstore.LeaseRef(r.Prefix, ""), "/") + "/"
}

// Refs lists what lies in the repository: the nodes' refs, the fold, and the leases.
func (r *Repository) Refs(ctx context.Context) ([]remote.Ref, error) {
	store, err := remote.New(r.Source)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	defer store.Close()
	refs, err := store.Refs(ctx, r.Prefix, gitstore.FoldRef, r.LeasePrefix())
	return refs, r.unreadable(err)
}

// unreadable names the repository in the error of a reading, and says what a person can do.
func (r *Repository) unreadable(err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	if auth := r.Source.Auth; errors.Is(err, remote.ErrAccess) && auth.Command == nil && auth.TokenFile == "" && strings.HasPrefix(r.Source.URL, "http") {
		hint = " (authenticate with --token-file FILE or --git-credentials)"
	}
	return fmt.Errorf("%s cannot be read: %w%s", r.Source.Redacted(), err, hint)
}
