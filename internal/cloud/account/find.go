package account

import (
	"cmp"
	"context"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/transport"
)

// Find is the account that a process has credentials for, in its environment env or by the role of this instance; nil =
// it has none.
func Find(ctx context.Context, cfg *config.Config, env func(string) string, agent string) (*Account, error) {
	metadata := cloud.NewMetadata(env("AWS_EC2_METADATA_SERVICE_ENDPOINT"))
	if env("AWS_ACCESS_KEY_ID") == "" {
		if role, err := metadata.Get(ctx, "iam/security-credentials/"); err != nil || role == "" {
			return nil, nil
		}
	}
	through, err := transport.Transport(cfg.Network)
	if err != nil {
		return nil, err
	}
	return New(ctx, Options{Metadata: metadata, Region: cmp.Or(cfg.EC2.Region, env("AWS_REGION")), Endpoint: cfg.EC2.Endpoint,
		Transport: through, Agent: agent})
}
