package node

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/addagent/addagent/internal/files"
)

// System is where the machine describes itself. The zero value is this machine; tests set the fields.
type System struct {
	Root     string                 // the folder of sys, proc and etc; "" = "/"
	Hostname func() (string, error) // nil = os.Hostname
}

// Hardware distinguishes machines. Any part may be "": without root, without DMI, in a container.
//
// Machine and Product are fingerprints, not the ids themselves: the presence record is public, and a machine-id should
// stay on its machine.
type Hardware struct {
	EC2     string `json:"ec2,omitempty"`     // instance id, when DMI says EC2
	Machine string `json:"machine,omitempty"` // of /etc/machine-id
	Product string `json:"product,omitempty"` // of the DMI product uuid, which only root can read
	Host    string `json:"host,omitempty"`    // hostname, for people; a renamed host is the same host
}

// Kind is "ec2", "dmi" (a machine-id or a product uuid is known) or "host" (only the name is known).
func (h Hardware) Kind() string {
	switch {
	case h.EC2 != "":
		return "ec2"
	case h.Machine != "" || h.Product != "":
		return "dmi"
	}
	return "host"
}

// String names the hardware as in the presence record: "ec2:i-0123456789", "dmi:<machine>/<product>", "host:<name>".
func (h Hardware) String() string {
	switch h.Kind() {
	case "ec2":
		return "ec2:" + h.EC2
	case "dmi":
		return "dmi:" + h.Machine + "/" + h.Product
	}
	return "host:" + h.Host
}

// Differs tells whether h and o are two machines. It compares only parts that are known of both; without any they do
// not differ: an outage of the metadata service, or a first run without root, must not make a node forget its identity.
// On EC2 only the instance id counts: the product uuid changes with the instance type.
func (h Hardware) Differs(o Hardware) bool {
	if h.EC2 != "" && o.EC2 != "" {
		return h.EC2 != o.EC2
	}
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differ(h.Machine, o.Machine) || differ(h.Product, o.Product)
}

// with takes parts that h lacks from older.
func (h Hardware) with(older Hardware) Hardware {
	return Hardware{EC2: cmp.Or(h.EC2, older.EC2), Machine: cmp.Or(h.Machine, older.Machine),
		Product: cmp.Or(h.Product, older.Product), Host: cmp.Or(h.Host, older.Host)}
}

// evidence is what the files of the system say; "" = unreadable.
type evidence struct {
	machineID   string // 32 hex digits
	productUUID string // lower case
	hostname    string
	ec2         bool   // DMI or the hypervisor says that this is EC2
	assetTag    string // the instance id, which newer EC2 hardware has in the DMI board asset tag
}

var (
	machineIDForm  = regexp.MustCompile(`^[0-9a-f]{32}$`)
	uuidForm       = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	instanceIDForm = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)
)

func (s System) look() evidence {
	var e evidence
	if id := strings.ToLower(s.read("etc/machine-id")); machineIDForm.MatchString(id) {
		e.machineID = id
	}
	uuid := strings.ToLower(s.dmi("product_uuid"))
	// Makers that do not set it leave all zeros or all ones.
	if uuidForm.MatchString(uuid) && strings.Trim(uuid, "0-") != "" && strings.Trim(uuid, "f-") != "" {
		e.productUUID = uuid
	}
	hostname := s.Hostname
	if hostname == nil {
		hostname = os.Hostname
	}
	if name, err := hostname(); err == nil {
		e.hostname = strings.TrimSpace(name)
	}
	if tag := s.dmi("board_asset_tag"); instanceIDForm.MatchString(tag) {
		e.assetTag = tag
	}
	e.ec2 = s.isEC2(uuid)
	return e
}

// isEC2 checks what the EC2 user guide and cloud-init's ds-identify do: Nitro and metal name the vendor; Xen has
// "amazon" in the BIOS version and a hypervisor or product uuid that begins with ec2, in either byte order. A wrong yes
// costs one short question to a metadata service that does not exist.
func (s System) isEC2(productUUID string) bool {
	if s.dmi("sys_vendor") == "Amazon EC2" || s.dmi("chassis_asset_tag") == "Amazon EC2" ||
		strings.Contains(strings.ToLower(s.dmi("bios_version")), "amazon") {
		return true
	}
	for _, uuid := range []string{productUUID, strings.ToLower(s.read("sys/hypervisor/uuid"))} {
		if strings.HasPrefix(uuid, "ec2") {
			return true
		}
		// "45e12aec-..." is "ec2ae145-..." with the bytes of its first group swapped.
		if uuidForm.MatchString(uuid) && uuid[6:8] == "ec" && uuid[4] == '2' {
			return true
		}
	}
	return false
}

func (e evidence) hardware() Hardware {
	h := Hardware{Machine: fingerprint(e.machineID), Product: fingerprint(e.productUUID), Host: e.hostname}
	if e.ec2 {
		h.EC2 = e.assetTag
	}
	return h
}

// fingerprint is a keyed hash of an id, as machine-id(5) asks for. 16 hex digits are enough for any grid.
func fingerprint(id string) string {
	if id == "" {
		return ""
	}
	m := hmac.New(sha256.New, []byte("addagent hardware"))
	m.Write([]byte(id))
	return hex.EncodeToString(m.Sum(nil))[:16]
}

// BootID is the kernel's id of this boot, "" where there is none.
func (s System) BootID() string { return s.read("proc/sys/kernel/random/boot_id") }

func (s System) dmi(name string) string { return s.read("sys/class/dmi/id/" + name) }

func (s System) read(path string) string {
	text, _ := files.ReadText(filepath.Join(cmp.Or(s.Root, "/"), path), 4096)
	return text
}
