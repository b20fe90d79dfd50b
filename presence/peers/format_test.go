package peers

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestFormat: each format holds the endpoints of all sets once, and what has no address or port is left out.
func TestFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.json")
	testkit.Must(t, os.WriteFile(path, []byte(`[
{"deployment":"","endpoints":[],"id":"0","service":"api-workers"},
{"deployment":"","endpoints":[{"code":"000000","ip":"10.0.0.7","mode":"mariadb","node":"i-1","port":3306,"role":"master"},
 {"code":"000000","ip":"2001:db8::8","mode":"mariadb","node":"i_2","port":3306,"role":"slave"},
 {"code":"000000","ip":"10.0.0.9","mode":"mariadb","node":"i-3","port":0,"role":"slave"},
 {"code":"000000","ip":"","mode":"mariadb","node":"i-4","port":3306,"role":"slave"}],"id":"1","service":"db"},
{"deployment":"","endpoints":[{"code":"000000","ip":"10.0.0.7","mode":"mariadb","node":"i-1","port":3306,"role":"master"}],"id":"2","role":"master","service":"db"}]`), 0o644))
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Format: "hosts"}, "10.0.0.7\tdb i-1.db\n10.0.0.9\tdb i-3.db\n2001:db8::8\tdb i-2.db\n"},
		{Query{Format: "env"}, "API_WORKERS_ADDRESSES=\nDB_ADDRESSES=10.0.0.7:3306,[2001:db8::8]:3306\n"},
		{Query{Service: "db", Format: "haproxy"}, "server i-1 10.0.0.7:3306 check\nserver i_2 [2001:db8::8]:3306 check\n"},
		{Query{Service: "db", Format: "nginx"}, "server 10.0.0.7:3306;\nserver [2001:db8::8]:3306;\n"},
		{Query{Service: "db", Role: "slave", Format: "env"}, "DB_ADDRESSES=[2001:db8::8]:3306\n"},
		{Query{Service: "api-workers"}, "api-workers  -  no endpoint\n"},
		{Query{Service: "db", Role: "slave"}, "db  i-3  10.0.0.9            slave  mariadb\ndb  i-4  -                   slave  mariadb\ndb  i_2  [2001:db8::8]:3306  slave  mariadb\n"},
		{Query{Service: "db", Role: "master"}, "db  i-1  10.0.0.7:3306  master  mariadb\n"},
	} {
		var b strings.Builder
		if err := c.q.Print(&b, path); err != nil || b.String() != c.want {
			t.Errorf("%+v:\n%s%v, want\n%s", c.q, b.String(), err, c.want)
		}
	}
	for name, want := range map[string]string{"db": "DB", "api-workers": "API_WORKERS", "0-db": "_0_DB", "z9": "Z9"} {
		if got := variable(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, q := range []Query{{Format: "xml"}, {Format: "nginx"}} {
		if q.Wrong() == nil {
			t.Errorf("%+v is accepted", q)
		}
	}
	if err := (Query{Service: "cache"}).Print(io.Discard, path); err == nil {
		t.Error("a service that nothing watches is printed")
	}
}
