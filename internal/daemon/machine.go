package daemon

import (
	"context"
	"path/filepath"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/ec2"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/kill"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/work"
)

// Machine is this node as its cloud sees it.
type Machine struct {
	Metadata *cloud.Metadata
	id       string // as the cloud names it, whatever the node calls itself
}

// tagsMemory and hookMemory are where it is remembered what the cloud was told; they belong to the hardware.
func tagsMemory(stateDir string) string { return filepath.Join(stateDir, "tags.json") }
func hookMemory(stateDir string) string { return filepath.Join(stateDir, "hook-completed") }

// pauses is where it is remembered when what failed there is tried again.
func pauses(stateDir string) string { return filepath.Join(stateDir, "pauses") }

// At is the machine with the settings of a config.
func (m *Machine) At(cfg *config.Config) (*ec2.Instance, error) {
	transport, err := transport.Transport(cfg.Network)
	if err != nil {
		return nil, err
	}
	return ec2.New(ec2.Options{Metadata: m.Metadata, InstanceID: m.id, Region: cfg.EC2.Region, Endpoint: cfg.EC2.Endpoint,
		Transport: transport, Agent: cli.UserAgent("addagent"), Hook: cfg.EC2.LifecycleHook}), nil
}

// sink is a sink of the machine, as the config makes it.
func (m *Machine) sink(cfg *config.Config, name string, of func(*ec2.Instance) sink.Sink) func() (sink.Sink, func(), error) {
	return func() (sink.Sink, func(), error) {
		i, err := m.At(cfg)
		if err != nil {
			return nil, nil, err
		}
		async := sink.NewAsync(of(i), filepath.Join(pauses(cfg.StateDir), name+".json"))
		return async, async.Close, nil
	}
}

// End has the cloud end this machine.
func (m *Machine) End(ctx context.Context, cfg *config.Config, way kill.Way) error {
	i, err := m.At(cfg)
	if err != nil {
		return err
	}
	if way == kill.Unhealthy {
		return i.Unhealthy(ctx)
	}
	return i.Terminate(ctx)
}

// MachineOf is this node at its cloud; nil if it has none, or if the agent may not use it.
func MachineOf(p *cli.Process, cfg *config.Config, me node.Identity) *Machine {
	if p.Getuid() != 0 || me.Hardware.EC2 == "" && cfg.EC2.Tags != "on" {
		return nil
	}
	return &Machine{Metadata: cloud.NewMetadata(MetadataEndpoint(p)), id: me.Hardware.EC2}
}

// MetadataEndpoint is where the metadata service is; "" = where it always is. The variable is that of AWS's own tools.
func MetadataEndpoint(p *cli.Process) string { return p.Env("AWS_EC2_METADATA_SERVICE_ENDPOINT") }

// Identify finds out who this node is. dry writes nothing.
func Identify(ctx context.Context, p *cli.Process, cfg *config.Config, dry bool) (node.Identity, error) {
	info := cfg.Nodeinfo()
	o := node.IdentifyOptions{StateDir: cfg.StateDir, InfoDir: info, DryRun: dry,
		Memory: []string{filepath.Join(info, "presence.json"), filepath.Join(info, "beat.json"), cfg.InitMemory(), node.WedgedPath(cfg.StateDir), work.ServiceDir(cfg.StateDir, ""),
			PresenceMemory(cfg.StateDir), roomsDir(cfg.StateDir), endedPath(cfg.StateDir), killMemoryPath(cfg.StateDir), tagsMemory(cfg.StateDir), hookMemory(cfg.StateDir), pauses(cfg.StateDir)}}
	if p.Getuid() == 0 {
		o.CloudID = func(ctx context.Context) (string, error) { return cloud.InstanceID(ctx, MetadataEndpoint(p)) }
	}
	return node.Identify(ctx, o)
}
