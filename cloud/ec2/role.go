package ec2

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/addagent/addagent/cloud"
)

// role gives the credentials of the instance's role. What it embeds says when they are fetched anew, and keeps the old
// ones while the metadata service is out of order.
type role struct{ *ec2rolecreds.Provider }

func newRole(m *cloud.Metadata) role {
	return role{ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = asked{m} })}
}

// Retrieve words what goes wrong: the SDK's words differ from time to time.
func (r role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := r.Provider.Retrieve(ctx)
	if err == nil {
		return c, nil
	}
	var api smithy.APIError
	var said metadataError
	switch {
	case errors.Is(err, cloud.ErrAbsent):
		return c, &trouble{ErrCredentials, "no credentials: the instance has no role (instance profile)", err}
	case errors.As(err, &said):
		return c, &trouble{ErrTemporary, "metadata: credentials: " + said.Error(), err}
	case errors.As(err, &api):
		return c, &trouble{ErrCredentials, "no credentials: the instance's role gives none: " + api.ErrorCode(), err}
	}
	return c, &trouble{ErrTemporary, "no credentials: the metadata service's answer cannot be read", err}
}

// asked lets the SDK ask through our session, which speaks IMDSv2 only and uses no proxy.
type asked struct{ metadata *cloud.Metadata }

// metadataError finds its way through the SDK's wrapping.
type metadataError struct{ error }

func (m metadataError) Unwrap() error { return m.error }

func (a asked) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, _ ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	text, err := a.metadata.Get(ctx, strings.TrimPrefix(in.Path, "/"))
	if err != nil {
		return nil, metadataError{err}
	}
	return &imds.GetMetadataOutput{Content: io.NopCloser(strings.NewReader(text)), ResultMetadata: middleware.Metadata{}}, nil
}
