package presence_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/sink/sinktest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// TestServicesOfAHostileRecord: whatever a node says of its services, others get at most a hundred, sorted, each of
// them with values that fit into a config or an environment as they are.
func TestServicesOfAHostileRecord(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	r := sinktest.Record()
	r.IP = "10.0.0.7; reboot"
	r.Services = []presence.Service{
		{Name: "web", IP: "10.0.0.7\n  server x 6.6.6.6", Port: 99999, Mode: "$(id)", Role: "boss", Code: "000000 ok", State: "up\nserver", Time: at.Add(time.Millisecond)},
		{Name: "db", IP: "::ffff:10.0.0.7", Port: 3306, Mode: "mariadb", Role: "master", Code: "000000", State: "running", Time: at},
		{Name: "db", IP: "6.6.6.6", Port: 1},
		{Name: "Bad Name"}, {Name: "../x"}, {Name: "a\nb"}, {},
		{Name: "six", IP: "fe80::1%eth0", Port: -1, Code: "ER0005", Role: "slave"},
		{Name: "meta", IP: "::ffff:169.254.169.254"}, {Name: "meta6", IP: "fd00:ec2:0::254"}, {Name: "mapped", IP: "::ffff:0.0.0.0"},
		{Name: "any", IP: "0.0.0.0"}, {Name: "cast", IP: "ff02::1"},
	}
	r.Uses = []presence.Use{
		{Service: "db", Item: "ops:b", Role: "boss", Set: "not hex"}, {Service: "no such; name", Item: "ops:a"},
		{Service: "db", Item: "ops:a", Deployment: "fed2", Set: "00ff"}, {Service: "db", Item: "ops:a", Deployment: "fed2", Set: "00ff"},
	}
	data, err := presence.Encode(r)
	testkit.Must(t, err)
	back, err := presence.Decode(data)
	testkit.Must(t, err)
	want := []presence.Service{
		{Name: "any", Role: "na", Code: "ER0023"}, {Name: "cast", Role: "na", Code: "ER0023"},
		{Name: "db", IP: "10.0.0.7", Port: 3306, Mode: "mariadb", Role: "master", Code: "000000", State: "running", Time: at},
		{Name: "mapped", Role: "na", Code: "ER0023"}, {Name: "meta", Role: "na", Code: "ER0023"}, {Name: "meta6", Role: "na", Code: "ER0023"},
		{Name: "six", Role: "slave", Code: "ER0005"},
		{Name: "web", Role: "na", Code: "ER0023", State: "up server", Time: at},
	}
	if back.IP != "" || !reflect.DeepEqual(back.Services, want) {
		t.Errorf("%q, %+v", back.IP, back.Services)
	}
	uses := []presence.Use{{Service: "db", Item: "ops:a", Deployment: "fed2", Set: "00ff"}, {Service: "db", Item: "ops:b", Role: "na"}}
	if !slices.Equal(back.Uses, uses) {
		t.Errorf("%+v", back.Uses)
	}
	if again, err := presence.Encode(back); err != nil || string(again) != string(data) {
		t.Errorf("written again it is another record: %v", err)
	}

	r.Services, r.Uses = nil, nil
	for i := range 200 {
		r.Services = append(r.Services, presence.Service{Name: fmt.Sprintf("s%03d", i)})
		r.Uses = append(r.Uses, presence.Use{Service: "db", Item: fmt.Sprintf("ops:%03d", i)})
	}
	if n := presence.Normalize(r); len(n.Services) != 100 || len(n.Uses) != 100 || presence.SameContent(n, presence.Normalize(sinktest.Record())) {
		t.Errorf("%d services, %d uses", len(n.Services), len(n.Uses))
	}
}
