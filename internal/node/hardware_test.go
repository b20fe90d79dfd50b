package node

import (
	"strings"
	"testing"
)

func TestIsEC2(t *testing.T) {
	for _, c := range []struct {
		name   string
		system map[string]string
		want   bool
	}{
		{"nitro", map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2"}, true},
		{"metal", map[string]string{"sys/class/dmi/id/chassis_asset_tag": "Amazon EC2"}, true},
		{"xen", map[string]string{"sys/class/dmi/id/bios_version": "4.11.amazon"}, true},
		{"hypervisor", map[string]string{"sys/hypervisor/uuid": uuidEC2}, true},
		{"product", map[string]string{"sys/class/dmi/id/product_uuid": strings.ToUpper(uuidEC2)}, true},
		{"swapped bytes", map[string]string{"sys/class/dmi/id/product_uuid": "45E12AEC-DCD1-B213-94ED-012345ABCDEF"}, true},
		{"a server", onDisk(machineA, uuidA), false},
		{"nothing", nil, false},
	} {
		m := newMachine(t, c.system)
		if got := m.o.System.look().ec2; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestHardware(t *testing.T) {
	a := Hardware{Machine: "a", Product: "p", Host: "web1"}
	for _, c := range []struct {
		name string
		a, b Hardware
		want bool
	}{
		{"same", a, a, false},
		{"another machine-id", a, Hardware{Machine: "b", Product: "p"}, true},
		{"another product", a, Hardware{Machine: "a", Product: "q"}, true},
		{"product unknown", a, Hardware{Machine: "a"}, false},
		{"nothing in common", a, Hardware{Host: "web2"}, false},
		{"same instance", Hardware{EC2: "i", Product: "p"}, Hardware{EC2: "i", Product: "q"}, false},
		{"another instance", Hardware{EC2: "i", Machine: "a"}, Hardware{EC2: "j", Machine: "a"}, true},
		{"instance known of one", Hardware{EC2: "i", Machine: "a"}, Hardware{Machine: "a"}, false},
	} {
		if c.a.Differs(c.b) != c.want || c.b.Differs(c.a) != c.want {
			t.Errorf("%s: not %v", c.name, c.want)
		}
	}
	if got := a.String() + " " + (Hardware{EC2: "i-1"}).String() + " " + (Hardware{Host: "web1"}).String(); got != "dmi:a/p ec2:i-1 host:web1" {
		t.Errorf("names %s", got)
	}
}

// A maker's placeholder says nothing: two such boards are not the same, and not different either.
func TestPlaceholderUUID(t *testing.T) {
	for _, uuid := range []string{"00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "Not Settable"} {
		m := newMachine(t, onDisk(machineA, uuid))
		if got := m.o.System.look().hardware().Product; got != "" {
			t.Errorf("%s gave %s", uuid, got)
		}
	}
}

func TestBootID(t *testing.T) {
	m := newMachine(t, map[string]string{"proc/sys/kernel/random/boot_id": "0b0f"})
	if got := m.o.System.BootID(); got != "0b0f" {
		t.Errorf("boot id %q", got)
	}
	if got := (System{Root: t.TempDir()}).BootID(); got != "" {
		t.Errorf("boot id of nothing %q", got)
	}
}
