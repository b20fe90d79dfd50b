package service

import (
	"fmt"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// Watch names the endpoints that a watch depends on. The zero value is no watch of them.
type Watch struct {
	Service, Role, Deployment string // Role "" = any; Deployment "" = that of this node, "all" = any
	Min                       int    // with fewer endpoints the item keeps the set that it has
	Required                  bool   // a first run waits until there is an endpoint
}

// KeyPrefix begins the key of a watch of services, see work.Fingerprints.
const KeyPrefix = "service "

// Key is the watch's name among the ids, and what people read: "service db, role master, deployment fed2".
func (w Watch) Key() string {
	key := KeyPrefix + w.Service
	if w.Role != "" {
		key += ", role " + w.Role
	}
	if w.Deployment != "" {
		key += fmt.Sprintf(", deployment %s", w.Deployment)
	}
	return key
}

// Read reads one key of a watch of a service.
func (w *Watch) Read(y *strictyaml.File, f strictyaml.Field) {
	switch f.Key.Text {
	case "service":
		if w.Service, _ = y.Text(f); !ValidName(w.Service) {
			y.Wrong(f.Value, "service: %s is not the name of a service: small letters, digits and -", human.Quote(w.Service))
		}
	case "role":
		w.Role = y.OneOf(f, roles)
	case "deployment":
		if w.Deployment, _ = y.Text(f); w.Deployment == "" || human.Printable(w.Deployment) != w.Deployment {
			y.Wrong(f.Value, "deployment: %s is not a valid deployment", human.Quote(w.Deployment))
		}
	case "min":
		w.Min = y.Number(f, 1, 10_000)
	}
}
