package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	machineA = "0123456789abcdef0123456789abcdef"
	uuidA    = "4C4C4544-0051-3610-8052-B4C04F4A3832"
	uuidB    = "4c4c4544-0051-3610-8052-b4c04f4a3833"
	uuidEC2  = "ec2e1916-9099-7caf-fd21-012345abcdef"
)

// machine is a computer in a folder: what it says of itself, its nodeinfo and its memory.
type machine struct {
	t    *testing.T
	root string
	o    IdentifyOptions
}

func newMachine(t *testing.T, system map[string]string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	m.o = IdentifyOptions{
		StateDir: filepath.Join(m.root, "var/lib/addagent"),
		InfoDir:  filepath.Join(m.root, "root/nodeinfo"),
		Memory:   []string{filepath.Join(m.root, "var/lib/addagent/wedge.json")},
		System:   System{Root: m.root, Hostname: func() (string, error) { return "web1", nil }},
	}
	m.says(system)
	return m
}

func (m *machine) says(system map[string]string) {
	for path, content := range system {
		put(m.t, m.root, path, content+"\n")
	}
}

func (m *machine) identify() Identity {
	m.t.Helper()
	id, err := Identify(m.t.Context(), m.o)
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

func (m *machine) notice(id Identity, part string) {
	m.t.Helper()
	if !strings.Contains(strings.Join(id.Notices, "\n"), part) {
		m.t.Errorf("notices %q, want %q among them", id.Notices, part)
	}
}

func onDisk(machineID, uuid string) map[string]string {
	return map[string]string{"etc/machine-id": machineID, "sys/class/dmi/id/product_uuid": uuid}
}

func ec2(asset string) map[string]string {
	s := onDisk(machineA, uuidEC2)
	s["sys/class/dmi/id/sys_vendor"] = "Amazon EC2"
	if asset != "" {
		s["sys/class/dmi/id/board_asset_tag"] = asset
	}
	return s
}

func says(id string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return id, nil }
}

func TestIdentifyOrder(t *testing.T) {
	down := func(context.Context) (string, error) { return "", errors.New("no route") }
	for _, c := range []struct {
		name     string
		system   map[string]string
		file     string
		cloud    func(context.Context) (string, error)
		hostname string
		id, from string
		kind     string
	}{
		{"a person's file wins", ec2(""), "db1\n", says("i-0abc0abc"), "", "db1", "file", "ec2"},
		{"metadata", ec2("i-0aaaaaaaa"), "", says("i-0abc0abc"), "", "i-0abc0abc", "metadata", "ec2"},
		{"metadata down, newer hardware", ec2("i-0aaaaaaaa"), "", down, "", "i-0aaaaaaaa", "asset-tag", "ec2"},
		{"metadata down, older hardware", ec2("SomeTag"), "", down, "", machineA, "machine-id", "dmi"},
		{"metadata says nonsense", ec2(""), "", says("<html>"), "", machineA, "machine-id", "dmi"},
		{"not EC2: metadata not asked", onDisk(machineA, uuidA), "", says("i-0abc0abc"), "", machineA, "machine-id", "dmi"},
		{"an empty file is no choice", onDisk(machineA, uuidA), "\n", nil, "", machineA, "machine-id", "dmi"},
		{"machine-id not yet made", onDisk("uninitialized", uuidA), "", nil, "", "web1", "hostname", "dmi"},
		{"not root: no product uuid", map[string]string{"etc/machine-id": machineA}, "", nil, "", machineA, "machine-id", "dmi"},
		{"nothing but a hostname", nil, "", nil, "", "web1", "hostname", "host"},
		{"a hostname that is no id", nil, "", nil, "_web..1.", "web.1-" + fingerprint("_web..1.")[:8], "hostname", "host"},
		{"nothing at all", nil, "", nil, "-", "node-" + fingerprint("-")[:8], "hostname", "host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, c.system)
			if c.file != "" {
				put(t, m.o.InfoDir, "instance-id.txt", c.file)
			}
			if c.hostname != "" {
				m.o.System.Hostname = func() (string, error) { return c.hostname, nil }
			}
			m.o.CloudID = c.cloud
			got := m.identify()
			if got.ID != c.id || got.Source != c.from || got.Copied || got.Hardware.Kind() != c.kind {
				t.Errorf("got %+v, kind %s", got, got.Hardware.Kind())
			}
			holds(t, m.o.InfoDir, "instance-id.txt", c.id+"\n")

			again := m.identify()
			if again.ID != c.id || again.Source != "binding" || again.Copied || again.Hardware != got.Hardware {
				t.Errorf("at the next start %+v", again)
			}
		})
	}
}

func TestIdentifyWritesTheBinding(t *testing.T) {
	m := newMachine(t, ec2(""))
	m.o.CloudID = says("i-0abc0abc")
	m.identify()
	holds(t, m.o.StateDir, "instance.json", `{
    "id": "i-0abc0abc",
    "source": "metadata",
    "hardware": {
        "ec2": "i-0abc0abc",
        "machine": "`+fingerprint(machineA)+`",
        "product": "`+fingerprint(uuidEC2)+`",
        "host": "web1"
    }
}
`)
	for _, secret := range []string{machineA, uuidEC2} {
		data, err := os.ReadFile(filepath.Join(m.o.StateDir, "instance.json"))
		if err != nil || strings.Contains(string(data), secret) {
			t.Errorf("the binding shows %s, %v", secret, err)
		}
	}
	// A start on which nothing changed writes nothing.
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, path := range []string{filepath.Join(m.o.StateDir, "instance.json"), filepath.Join(m.o.InfoDir, "instance-id.txt")} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
		m.identify()
		if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(long) {
			t.Errorf("%s was written again, %v", path, err)
		}
	}
}

func TestIdentifyCopiedImage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change map[string]string
		cloud  func(context.Context) (string, error)
		id     string
	}{
		{"another EC2 instance", ec2(""), says("i-0bbbbbbbb"), "i-0bbbbbbbb"},
		{"from EC2 to a machine of our own", map[string]string{
			"etc/machine-id": strings.Repeat("b", 32), "sys/class/dmi/id/sys_vendor": "QEMU", "sys/class/dmi/id/product_uuid": uuidB},
			nil, strings.Repeat("b", 32)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, ec2(""))
			m.o.CloudID = says("i-0aaaaaaaa")
			m.identify()
			put(t, m.o.StateDir, "wedge.json", "{}")
			if err := WriteState(m.o.InfoDir, Idle, StateLog{}.Add(Setup, birth)); err != nil {
				t.Fatal(err)
			}

			m.says(c.change)
			m.o.CloudID = c.cloud
			dry := m.o
			dry.DryRun = true
			if got, err := Identify(t.Context(), dry); err != nil || got.ID != c.id || !got.Copied {
				t.Errorf("dry run: %+v, %v", got, err)
			}
			holds(t, m.o.InfoDir, "instance-id.txt", "i-0aaaaaaaa\n")

			got := m.identify()
			if got.ID != c.id || !got.Copied {
				t.Errorf("got %+v", got)
			}
			m.notice(got, "copied from i-0aaaaaaaa")
			holds(t, m.o.InfoDir, "instance-id.txt.copied", "i-0aaaaaaaa\n")
			holds(t, m.o.InfoDir, "state.txt.copied", "idle\n")
			holds(t, m.o.InfoDir, "statelog.txt.copied", "setup:20151008-174611;\n")
			holds(t, m.o.InfoDir, "statetss.txt.copied", "20151008-174611\n")
			holds(t, m.o.StateDir, "wedge.json.copied", "{}")
			holds(t, m.o.InfoDir, "instance-id.txt", c.id+"\n")
			for _, gone := range []string{"state.txt", "statelog.txt", "statetss.txt"} {
				if _, err := os.Stat(filepath.Join(m.o.InfoDir, gone)); err == nil {
					t.Errorf("%s is still there", gone)
				}
			}
			if again := m.identify(); again.Copied || again.ID != c.id || len(again.Notices) != 0 {
				t.Errorf("at the next start %+v", again)
			}
		})
	}
}

// A copied disk whose machine-id went along: the product uuid tells the copy, and the two must not share a name.
func TestIdentifyCopiedMachineID(t *testing.T) {
	m := newMachine(t, onDisk(machineA, uuidA))
	m.identify()
	m.says(onDisk(machineA, uuidB))
	got := m.identify()
	if !got.Copied || got.ID == machineA || !strings.HasPrefix(got.ID, machineA+"-") || ValidID(got.ID) != nil {
		t.Errorf("got %+v", got)
	}
	m.notice(got, "machine-id of the original")
	if again := m.identify(); again.ID != got.ID || again.Copied {
		t.Errorf("at the next start %+v", again)
	}
}

// Provisioning wrote a name onto the copy before the agent's first start there.
func TestIdentifyNamedCopy(t *testing.T) {
	m := newMachine(t, onDisk(machineA, uuidA))
	m.identify()
	m.says(onDisk(machineA, uuidB))
	put(t, m.o.InfoDir, "instance-id.txt", "node7")
	if got := m.identify(); got.ID != "node7" || got.Source != "file" || !got.Copied {
		t.Errorf("got %+v", got)
	}
}

func TestIdentifyKeepsTheBinding(t *testing.T) {
	m := newMachine(t, ec2(""))
	m.o.CloudID = says("i-0aaaaaaaa")
	first := m.identify()

	t.Run("metadata is down", func(t *testing.T) {
		m.o.CloudID = func(context.Context) (string, error) { return "", errors.New("no route") }
		got := m.identify()
		if got.ID != "i-0aaaaaaaa" || got.Copied || got.Hardware != first.Hardware {
			t.Errorf("got %+v", got)
		}
		m.notice(got, "no route")
	})
	t.Run("the instance type changed, and with it the uuid", func(t *testing.T) {
		m.o.CloudID = says("i-0aaaaaaaa")
		m.says(map[string]string{"sys/class/dmi/id/product_uuid": uuidB})
		if got := m.identify(); got.ID != "i-0aaaaaaaa" || got.Copied || got.Hardware.Product != fingerprint(uuidB) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("renamed host", func(t *testing.T) {
		m.o.System.Hostname = func() (string, error) { return "web2", nil }
		if got := m.identify(); got.ID != "i-0aaaaaaaa" || got.Copied || got.Hardware.Host != "web2" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("someone edited the file", func(t *testing.T) {
		put(t, m.o.InfoDir, "instance-id.txt", "other\n")
		got := m.identify()
		if got.ID != "i-0aaaaaaaa" {
			t.Errorf("got %+v", got)
		}
		m.notice(got, `contained "other"`)
		holds(t, m.o.InfoDir, "instance-id.txt", "i-0aaaaaaaa\n")
	})
	t.Run("someone removed the file", func(t *testing.T) {
		if err := os.Remove(filepath.Join(m.o.InfoDir, "instance-id.txt")); err != nil {
			t.Fatal(err)
		}
		m.identify()
		holds(t, m.o.InfoDir, "instance-id.txt", "i-0aaaaaaaa\n")
	})
	t.Run("nothing can be read any more", func(t *testing.T) {
		m.o.System.Root = t.TempDir()
		if got := m.identify(); got.ID != "i-0aaaaaaaa" || got.Copied {
			t.Errorf("got %+v", got)
		}
	})
}

func TestIdentifyCorruptBinding(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"id": "i-0aa`, "null": "null", "no id": "{}", "bad id": `{"id":"../x"}`, "list": "[]",
		"huge": strings.Repeat(" ", valueLimit+1),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, onDisk(machineA, uuidA))
			put(t, m.o.StateDir, "instance.json", content)
			put(t, m.o.InfoDir, "instance-id.txt", "db1")
			got := m.identify()
			if got.ID != "db1" || got.Copied {
				t.Errorf("got %+v", got)
			}
			m.notice(got, "corrupt")
			holds(t, m.o.StateDir, "instance.json.corrupt", content)
			if again := m.identify(); again.ID != "db1" || again.Source != "binding" || len(again.Notices) != 0 {
				t.Errorf("at the next start %+v", again)
			}
		})
	}
}

func TestIdentifyRefusesABadFile(t *testing.T) {
	m := newMachine(t, nil)
	put(t, m.o.InfoDir, "instance-id.txt", "my node")
	_, err := Identify(t.Context(), m.o)
	if err == nil || !strings.Contains(err.Error(), "instance-id.txt") || !strings.Contains(err.Error(), `"my node"`) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(m.o.StateDir); err == nil {
		t.Error("something was bound")
	}
}

func TestIdentifyDryRunWritesNothing(t *testing.T) {
	m := newMachine(t, onDisk(machineA, uuidA))
	m.o.DryRun = true
	if got := m.identify(); got.ID != machineA {
		t.Errorf("got %+v", got)
	}
	for _, dir := range []string{m.o.StateDir, m.o.InfoDir} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s was made", dir)
		}
	}
}

func TestIdentifyWaitsAtMostASecondForTheCloud(t *testing.T) {
	m := newMachine(t, ec2(""))
	synctest.Test(t, func(t *testing.T) {
		m.o.CloudID = func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		start := time.Now()
		if got, err := Identify(t.Context(), m.o); err != nil || got.ID != machineA {
			t.Errorf("got %+v, %v", got, err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func FuzzParseBinding(f *testing.F) {
	f.Add([]byte(`{"id":"i-0abc","source":"metadata","hardware":{"ec2":"i-0abc"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := parseBinding(data); err == nil && ValidID(b.ID) != nil {
			t.Errorf("%q gave %+v", data, b)
		}
	})
}
