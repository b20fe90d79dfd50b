package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// cloudTime bounds the question to the metadata service: a start must not wait longer for it.
const cloudTime = time.Second

// IdentifyOptions are the inputs of Identify. It creates StateDir and InfoDir if need be.
type IdentifyOptions struct {
	StateDir string   // holds instance.json
	InfoDir  string   // nodeinfo
	Memory   []string // other files and folders that belong to this hardware, not to a copy of its image
	System   System
	// CloudID asks the metadata service for the instance id, when DMI says EC2; nil = do not ask.
	CloudID func(ctx context.Context) (string, error)
	// DryRun finds the identity without writing anything or setting anything aside.
	DryRun bool
}

// Identity is who this node is.
type Identity struct {
	ID       string
	Source   string // of the id: "binding", "file", "metadata", "asset-tag", "machine-id", "hostname"
	Hardware Hardware
	Copied   bool     // the image was copied from another machine: begin at presetup
	Notices  []string // for people: copied, corrupt, restored; a sentence each
}

// binding is the content of instance.json.
type binding struct {
	ID       string   `json:"id"`
	Source   string   `json:"source"`
	Hardware Hardware `json:"hardware"`
}

// Identify finds out who this node is, and binds that to the hardware.
//
// A binding (instance.json) with our hardware decides. One with other hardware was copied with an image: it, o.Memory
// and nodeinfo/{instance-id,state,statetss,statelog}.txt are set aside as *.copied. Without a binding an
// instance-id.txt that a person wrote decides (on a copy, one that differs from the binding); else the cloud's instance
// id, the machine-id, or the hostname, made a valid id. The result is written to instance.json and instance-id.txt.
//
// A corrupt instance.json is set aside, with a notice. It fails if instance-id.txt has an invalid id, or the disk
// cannot be written.
func Identify(ctx context.Context, o IdentifyOptions) (Identity, error) {
	f := finder{o: o, seen: o.System.look()}
	f.found.Hardware = f.seen.hardware()
	f.askCloud(ctx)

	bound, err := f.readBinding()
	if err != nil {
		return Identity{}, err
	}
	written, err := readIDFile(f.idPath())
	if err != nil {
		return Identity{}, err
	}
	switch {
	case bound != nil && !bound.Hardware.Differs(f.found.Hardware):
		f.found.ID, f.found.Source = bound.ID, "binding"
		f.found.Hardware = f.found.Hardware.with(bound.Hardware)
		if written != "" && written != bound.ID {
			f.say("%s contained %s, but this machine is %s: restored. To rename a node, stop the agent, remove %s and write the new id",
				f.idPath(), human.Quote(written), bound.ID, f.bindingPath())
		}
		return f.found, f.write(bound, bound.Source)
	case bound != nil:
		f.leaveCopyBehind(*bound, written)
		if written == bound.ID {
			written = ""
		}
	}
	if written != "" {
		if err := ValidID(written); err != nil {
			return Identity{}, fmt.Errorf("%s: %w: write another id into it, or remove the file to have one chosen", f.idPath(), err)
		}
		f.found.ID, f.found.Source = written, "file"
	} else {
		f.detect(bound)
	}
	return f.found, f.write(nil, f.found.Source)
}

// finder has what Identify has learned so far.
type finder struct {
	o     IdentifyOptions
	seen  evidence
	cloud string // the instance id, when the metadata service told it
	found Identity
	aside []string // belongs to the machine that this image was copied from
}

func (f *finder) bindingPath() string { return filepath.Join(f.o.StateDir, "instance.json") }
func (f *finder) idPath() string      { return filepath.Join(f.o.InfoDir, "instance-id.txt") }

func (f *finder) say(format string, args ...any) {
	f.found.Notices = append(f.found.Notices, fmt.Sprintf(format, args...))
}

func (f *finder) askCloud(ctx context.Context) {
	if !f.seen.ec2 || f.o.CloudID == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cloudTime)
	defer cancel()
	id, err := f.o.CloudID(ctx)
	if err == nil {
		err = ValidID(id)
	}
	if err != nil {
		f.say("this is EC2, but the metadata service did not provide the instance id: %v", err)
		return
	}
	f.cloud, f.found.Hardware.EC2 = id, id
}

func (f *finder) bindingFile() files.Remembered[binding] {
	return files.Remembered[binding]{Path: f.bindingPath(), What: "identity", Limit: valueLimit, Parse: parseBinding, Durable: true, Indent: "    "}
}

// readBinding returns nil when there is none, or a corrupt one.
func (f *finder) readBinding() (*binding, error) {
	read := f.bindingFile().Recall
	if f.o.DryRun {
		read = f.bindingFile().Peek
	}
	b, ok, err := read()
	if c := (*files.Corrupt)(nil); errors.As(err, &c) {
		f.say("%s is corrupt (%v): set aside as *.corrupt, and this node identified again", f.bindingPath(), c.Err)
		return nil, nil
	}
	if !ok {
		return nil, err
	}
	return &b, nil
}

func parseBinding(data []byte) (binding, error) {
	var b binding
	if err := json.Unmarshal(data, &b); err != nil {
		return binding{}, err
	}
	if err := ValidID(b.ID); err != nil {
		return binding{}, err
	}
	return b, nil
}

// readIDFile returns "" for a file that is absent or empty: no person chose an id.
func readIDFile(path string) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return readValue(path)
}

// leaveCopyBehind lists what belongs to the machine of the image. instance.json comes last, because it reveals the
// copy: after a crash the next start finishes the work.
func (f *finder) leaveCopyBehind(bound binding, written string) {
	f.found.Copied = true
	f.say("this image was copied from %s (%s), but this machine is %s: the memory of the original is set aside as *.copied, and this node begins at presetup",
		bound.ID, bound.Hardware, f.found.Hardware)
	f.aside = slices.Clone(f.o.Memory)
	for _, field := range stateFields {
		f.aside = append(f.aside, filepath.Join(f.o.InfoDir, field+".txt"))
	}
	if written == bound.ID {
		f.aside = append(f.aside, f.idPath())
	}
	f.aside = append(f.aside, f.bindingPath())
}

// detect chooses the id when no person did. copiedFrom is the binding of the machine of the image, nil for a new node:
// an image with its machine-id or hostname would otherwise make two nodes with one name.
func (f *finder) detect(copiedFrom *binding) {
	e := f.seen
	switch {
	case f.cloud != "":
		f.found.ID, f.found.Source = f.cloud, "metadata"
	case f.found.Hardware.EC2 != "":
		f.found.ID, f.found.Source = f.found.Hardware.EC2, "asset-tag"
	case e.machineID != "":
		f.found.ID, f.found.Source = e.machineID, "machine-id"
	default:
		f.found.ID, f.found.Source = madeValid(e.hostname), "hostname"
	}
	if copiedFrom != nil && copiedFrom.ID == f.found.ID {
		f.found.ID = withSuffix(f.found.ID, fingerprint(f.found.Hardware.String()))
		f.say("the copied image still has the %s of the original, so this node is named %s; give images an empty /etc/machine-id", f.found.Source, f.found.ID)
	}
}

// madeValid makes a valid id of any hostname, always the same one. If it changes the name it adds a part of the name's
// hash, so that different names stay different.
func madeValid(name string) string {
	if ValidID(name) == nil {
		return name
	}
	if name == "" {
		return "node" // nothing is known of this machine; a person can write an instance-id.txt
	}
	id := notForID.ReplaceAllString(name, "-")
	for strings.Contains(id, "..") {
		id = strings.ReplaceAll(id, "..", ".")
	}
	if id = strings.TrimLeft(id, "._-"); id == "" {
		id = "node"
	}
	return withSuffix(id, fingerprint(name))
}

// withSuffix keeps the id within its 63 characters. Ending in hex digits it can end neither in .lock nor in a dot.
func withSuffix(id, hash string) string {
	hash = "-" + hash[:8]
	return strings.TrimRight(id[:min(len(id), 63-len(hash))], "._-") + hash
}

// write puts down what was found: first what was copied goes aside, then come instance-id.txt and the binding. After a
// crash between the two, the file decides the same. before is the binding that is there, nil = none of this machine.
func (f *finder) write(before *binding, source string) error {
	if f.o.DryRun {
		return nil
	}
	for _, path := range f.aside {
		if _, err := files.SetAside(path, "copied"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("identity: %w", err)
		}
	}
	if err := os.MkdirAll(f.o.InfoDir, 0o700); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	if id, err := files.ReadText(f.idPath(), valueLimit); err != nil || id != f.found.ID {
		if err := files.Write(f.idPath(), []byte(f.found.ID+"\n"), 0o644); err != nil {
			return fmt.Errorf("identity: %w", err)
		}
	}
	now := binding{ID: f.found.ID, Source: source, Hardware: f.found.Hardware}
	if before != nil && *before == now {
		return nil // the usual start: nothing changed
	}
	return f.bindingFile().Save(now)
}
