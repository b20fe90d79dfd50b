package service

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, say := range map[string]func(*Description){
		"":           func(*Description) {},
		"port: 3306": func(d *Description) { d.Port, d.Check = 3306, Check{Kind: TCP, Target: "127.0.0.1:3306"} },
		"port: 80\nmode: haproxy\nrole: master\nrise: 3\nfall: 4\nrequires: [ cache, db-2 ]\ndrain: 90s\ncheck: none\n": func(d *Description) {
			d.Port, d.Mode, d.Role, d.Rise, d.Fall, d.Drain = 80, "haproxy", "master", 3, 4, 90*time.Second
			d.Requires = []string{"cache", "db-2"}
		},
		"port: 80\ncheck: { tcp: 81 }": func(d *Description) { d.Port, d.Check = 80, Check{Kind: TCP, Target: "127.0.0.1:81"} },
		"check: { http: ':8080/status' }": func(d *Description) {
			d.Check = Check{HTTP, "http://127.0.0.1:8080/status", 200}
		},
		"check: { exec: check.sh }":  func(d *Description) { d.Check = Check{Kind: Exec, Target: "check.sh"} },
		"check: { pid: /run/x.pid }": func(d *Description) { d.Check = Check{Kind: PID, Target: "/run/x.pid"} },
		"check: { http: 'https://10.0.0.1/', expect: 404 }": func(d *Description) {
			d.Check = Check{HTTP, "https://10.0.0.1/", 404}
		},
	} {
		want := Description{Name: "db", Mode: "db", Role: "na", Rise: 1, Fall: 2, Drain: 5 * time.Minute}
		say(&want)
		if got, problems := Parse("service.yaml", "db", []string{"check.sh"}, []byte(text)); len(problems) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %q", text, got, problems)
		}
	}
}

// TestParseProblems: all mistakes at once, each with its place and what to write instead.
func TestParseProblems(t *testing.T) {
	for text, want := range map[string]string{
		"prot: 1":                          `f:1:1: unknown key "prot", did you mean port?`,
		"port: 70000":                      "f:1:1: port: must be a number from 1 to 65535, not 70000",
		"port: '80'":                       "f:1:1: port: must be a number from 1 to 65535, not 80",
		"role: boss":                       `f:1:1: role: is "boss", must be master, slave, standalone or na`,
		"mode: My DB":                      `f:1:7: mode: "My DB" must be small letters, digits and -`,
		"check: yes":                       `f:1:8: check: must be none, { tcp: 3306 }, { http: ":8080/status" }, { exec: check.sh } or { pid: /run/x.pid }, not `,
		"check: { tcp: 1, pid: /x }":       "f:1:8: check: must be one of none",
		"check: { tcp: 1, expect: 200 }":   "f:1:8: check: only an http check can expect a status",
		"check: { http: 'ftp://x' }":       `f:1:16: http: "ftp://x" is not an address`,
		"check: { http: 'http://u:p@x/' }": `f:1:16: http: "http://u:p@x/" is not an address`,
		"check: { exec: chek.sh }":         `f:1:16: exec: there is no script "chek.sh" beside service.yaml, did you mean check.sh?`,
		"check: { exec: mysqladmin }":      `f:1:16: exec: there is no script "mysqladmin" beside service.yaml`,
		"check: { exec: ../x }":            `f:1:16: exec: "../x" is not the name of a script beside service.yaml`,
		"check: { pid: run/x }":            `f:1:15: pid: "run/x" is not an absolute path`,
		"requires: [ db ]":                 "f:1:11: requires: db cannot require itself",
		"requires: [ A ]":                  `f:1:11: requires: "A" is not the name of a service`,
		"drain: 5":                         "f:1:1: drain: 5 has no unit, as in 90s, 10m or 1h30m",
		"rise: 0":                          "f:1:1: rise: must be a number from 1 to 100, not 0",
		"- db":                             "f:1:1: must be keys and values (port, mode, role, check, rise, fall, requires, drain), not a list",
		"port: 1\nport: 2":                 "f:2:1: port is set twice",
		"port: 0\nfall: none\ndrain: soon\nx: 1\n": "f:1:1: port: must be|f:2:1: fall: must be|f:3:1: drain: \"soon\" is not a time|f:4:1: unknown key",
	} {
		_, problems := Parse("f", "db", []string{"check.sh"}, []byte(text))
		all := strings.Join(problems, "|")
		for _, want := range strings.Split(want, "|") {
			if !strings.Contains(all, want) {
				t.Errorf("%q: %s, want %s", text, all, want)
			}
		}
	}
}

func TestParseList(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"[ db, cache ]":                       "db@f:1:3 cache@f:1:7",
		"- db\n- web-1\n":                     "db@f:1:3 web-1@f:2:3",
		"[ db, db ]":                          "f:1:7: db is there twice",
		"[ DB ]":                              `f:1:3: "DB" is not the name of a service`,
		"[ 5 ]":                               `f:1:3: "5" is not the name of a service`,
		"db: yes":                             "f:1:1: must be a list, as in [ db, cache ], not keys and values",
		"[ a, ../x, {b: c} ]":                 `f:1:6: "../x" is not`,
		"[ " + strings.Repeat("a", 64) + " ]": "is not the name of a service",
	} {
		names, problems := ParseList("f", []byte(text))
		got := strings.Join(problems, "|")
		if len(problems) == 0 {
			got = ""
			for _, l := range names {
				got += " " + l.Name + "@" + l.At
			}
			got = strings.TrimSpace(got)
		}
		if got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("port: 3306\ncheck: { http: ':80/x', expect: 200 }\nrequires: [ a ]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if d, problems := Parse("f", "db", []string{"check.sh"}, []byte(text)); len(problems) == 0 && (d.Rise < 1 || d.Fall < 1 || d.Drain < time.Second || d.Port < 0) {
			t.Errorf("%+v", d)
		}
		ParseList("f", []byte(text))
	})
}
