package service

import (
	"regexp"
	"slices"
)

// Code is the state of a service in six characters, as programs of the ancestor understand it.
// Source: the codes of ScrambleDB's cluster manager.
type Code string

// The codes. Running is the only one that makes an endpoint available.
const (
	Running     Code = "000000" // set up, its check passes, not drained
	Waiting     Code = "ER0016" // what its set-up requires has no endpoint
	Starting    Code = "ER0019" // its check has not passed yet
	Draining    Code = "ER0020" // a person drains it, or it is announced that it goes
	Installing  Code = "ER0021" // its set-up has not succeeded yet
	Removing    Code = "ER0022" // delete.sh undoes its set-up
	Stopped     Code = "ER0023" // its check fails
	Uninstalled Code = "ER0024" // it is gone

	databaseStopped Code = "ER0003" // the check of a database fails
	memoryStopped   Code = "ER0005" // the check of a memory store fails
)

// states are the codes in one word each.
var states = []struct {
	code Code
	word string
}{
	{Running, "running"}, {Waiting, "waiting"}, {Starting, "starting"}, {Draining, "draining"}, {Installing, "installing"},
	{Removing, "removing"}, {Stopped, "stopped"}, {Uninstalled, "uninstalled"},
	{databaseStopped, "stopped"}, {memoryStopped, "stopped"},
}

// State is the code in a word; a code that a check made up means that the service is stopped.
func (c Code) State() string {
	for _, s := range states {
		if s.code == c {
			return s.word
		}
	}
	return "stopped"
}

var made = regexp.MustCompile(`^[A-Z]{2}[0-9]{4}$`)

// ValidCode says whether a check may report this code: why it fails.
func ValidCode(code string) bool { return made.MatchString(code) }

// Available says whether clients may use an endpoint with this code.
func (c Code) Available() bool { return c == Running }

// stopped is the code of a service of this mode whose check fails.
func stopped(mode string) Code {
	switch {
	case slices.Contains([]string{"mariadb", "mysql", "galera", "percona", "postgres", "postgresql", "mongodb", "cockroachdb"}, mode):
		return databaseStopped
	case slices.Contains([]string{"memcache", "memcached", "redis", "valkey", "tarantool"}, mode):
		return memoryStopped
	}
	return Stopped
}
