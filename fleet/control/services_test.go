package control

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// TestServicesOfTheIndex: a node that left the set of its service while most others reported is not counted again when
// these are silent, too: people see what nodes use.
func TestServicesOfTheIndex(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "presence.git")
	now := time.Now().UTC().Truncate(time.Second)
	offer := func(id string, at time.Time) {
		n := fleettest.One(id, node.Idle, "a", "", at)
		n.BeatNextBy, n.IP = at.Add(time.Minute), "10.0.0.1"
		n.Services = []presence.Service{{Name: "db", Code: "000000", Port: 3306, Role: "na"}}
		testkit.Must(t, fleettest.Report(repo, n.Record, at))
	}
	o := fold.Options{Source: remote.Source{URL: repo}, Prefix: gitstore.RefPrefix}
	folder, err := fold.NewAggregator(fold.AggregatorOptions{Options: o})
	testkit.Must(t, err)
	defer folder.Close()
	offer("i-1", now.Add(-50*time.Minute))
	for _, id := range []string{"i-2", "i-3", "i-4"} {
		offer(id, now.Add(-40*time.Minute))
	}
	for _, at := range []time.Time{now.Add(-40 * time.Minute), now} {
		_, err := folder.Once(t.Context(), at)
		testkit.Must(t, err)
	}
	reader, err := fold.NewReader(o)
	testkit.Must(t, err)
	defer reader.Close()
	_, all, err := (&Repository{Reader: reader, Options: o}).Services(t.Context())
	if err != nil || len(all) != 1 || all[0].Available != 3 || strings.Join(all[0].Away(), " ") != "i-1 silent" {
		t.Errorf("%+v, %v", all, err)
	}
	reader.IgnoreFold()
	if _, all, err := (&Repository{Reader: reader, Options: o}).Services(t.Context()); err != nil || len(all) != 1 || all[0].Available != 4 {
		t.Errorf("by the records alone: %+v, %v", all, err)
	}
}
