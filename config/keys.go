package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leaf is a key with a single value: how a text becomes its value, and back.
type leaf struct {
	key   string
	kind  kind
	apply func(text string) (problem string) // leaves the value as it was when there is a problem
	show  func() string
	many  bool // the key will take a list in a later version
}

// kind is which YAML values a leaf takes.
type kind string

const (
	textual kind = "text"
	numeric kind = "a whole number"
	boolean kind = "true or false"
	timed   kind = "a duration"
)

// laterKeys are known, but what they are for is not in this version.
func laterKeys() []string {
	return []string{"network", "presence", "chat", "wedged", "metrics", "requests", "ec2.endpoint", "ec2.region"}
}

func laterRepoKeys() []string { return []string{"auth.command", "verify.signers_file"} }

// leaves is the one table of the single-valued keys, bound to the fields of c.
func (c *Config) leaves() []leaf {
	return []leaf{
		text("home", &c.Home, checkPath),
		text("run_dir", &c.RunDir, checkPath),
		text("state_dir", &c.StateDir, checkPath),
		text("beat.schedule", &c.Beat.Schedule, notEmpty),
		duration("beat.spread", &c.Beat.Spread, 0),
		duration("beat.work_spread", &c.Beat.WorkSpread, 0),
		duration("beat.look_timeout", &c.Beat.LookTimeout, 1),
		duration("beat.fetch_stall", &c.Beat.FetchStall, 1),
		duration("beat.fetch_timeout", &c.Beat.FetchTimeout, 1),
		truth("discover", &c.Discover),
		duration("work.timeout", &c.Work.Timeout, 1),
		duration("work.grace", &c.Work.Grace, 1),
		duration("work.retry_first", &c.Work.RetryFirst, 1),
		duration("work.retry_max", &c.Work.RetryMax, 1),
		number("work.wedge_after", &c.Work.WedgeAfter, 1),
		text("ec2.tags", &c.EC2.Tags, oneOf([]string{"off"}, "auto", "on")),
		text("log.level", &c.Log.Level, oneOf([]string{"debug", "info", "warn", "error"})),
		text("log.format", &c.Log.Format, oneOf([]string{"text", "json"})),
		truth("log.file", &c.Log.File),
		number("log.max_size_mb", &c.Log.MaxSizeMB, 1),
		number("log.keep", &c.Log.Keep, 1),
	}
}

func newRepo() *Repo { return &Repo{Rewind: "follow", Verify: "off"} }

func (r *Repo) leaves() []leaf {
	leaves := []leaf{
		text("name", &r.Name, checkRepoName),
		text("url", &r.URL, checkURL),
		text("branch", &r.Branch, checkBranch),
		text("auth.token_file", &r.Auth.TokenFile, checkPath),
		text("auth.username", &r.Auth.Username, notEmpty),
		text("auth.password_file", &r.Auth.PasswordFile, checkPath),
		text("auth.ssh_key_file", &r.Auth.SSHKeyFile, checkPath),
		text("auth.known_hosts_file", &r.Auth.KnownHostsFile, checkPath),
		text("rewind", &r.Rewind, oneOf([]string{"follow", "refuse"})),
		text("verify.mode", &r.Verify, oneOf([]string{"off"}, "warn", "enforce")),
	}
	for i := range leaves {
		leaves[i].many = leaves[i].key == "url" || leaves[i].key == "auth.ssh_key_file"
	}
	return leaves
}

func known(leaves []leaf) []string {
	keys := make([]string, len(leaves))
	for i, l := range leaves {
		keys[i] = l.key
	}
	return keys
}

func text(key string, into *string, check func(string) string) leaf {
	return leaf{
		key: key, kind: textual,
		apply: func(s string) string {
			if problem := check(s); problem != "" {
				return problem
			}
			*into = s
			return ""
		},
		show: func() string { return quoted(*into) },
	}
}

func truth(key string, into *bool) leaf {
	return leaf{
		key: key, kind: boolean,
		apply: func(s string) string {
			switch strings.ToLower(s) {
			case "true":
				*into = true
			case "false":
				*into = false
			default:
				return "must be true or false"
			}
			return ""
		},
		show: func() string { return strconv.FormatBool(*into) },
	}
}

func number(key string, into *int, least int) leaf {
	return leaf{
		key: key, kind: numeric,
		apply: func(s string) string {
			n, err := strconv.Atoi(s)
			switch {
			case err != nil:
				return "must be a whole number, such as " + strconv.Itoa(*into)
			case n < least:
				return fmt.Sprintf("%d is too small: must be at least %d", n, least)
			case n > 1_000_000:
				return fmt.Sprintf("%d is too large: must be at most 1000000", n)
			}
			*into = n
			return ""
		},
		show: func() string { return strconv.Itoa(*into) },
	}
}

// longest bounds durations, so that adding some to a time never overflows.
const longest = 10 * 365 * 24 * time.Hour

func duration(key string, into *time.Duration, least time.Duration) leaf {
	return leaf{
		key: key, kind: timed,
		apply: func(s string) string {
			d, problem := parseDuration(s)
			switch {
			case problem != "":
				return problem
			case d < 0:
				return "must not be negative"
			case d < least:
				return "must be longer than 0s"
			case d > longest:
				return "is longer than ten years"
			}
			*into = d
			return ""
		},
		show: func() string { return showDuration(*into) },
	}
}

// parseDuration is time.ParseDuration with a better answer to what people write instead.
func parseDuration(s string) (time.Duration, string) {
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, ""
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Sprintf("%s has no unit: use %ss", s, s)
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 10_000 {
			return 0, fmt.Sprintf("%s: days are not understood: use %dh", s, 24*n)
		}
	}
	return 0, fmt.Sprintf("%s is no duration: use numbers with ms, s, m or h, such as 90s or 1h30m", shown(s))
}

// showDuration drops the zero parts that time.Duration writes: 1h, not 1h0m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// oneOf takes the given words; later ones are known, but not in this version.
func oneOf(now []string, later ...string) func(string) string {
	return func(s string) string {
		switch {
		case slices.Contains(now, s):
			return ""
		case slices.Contains(later, s):
			return fmt.Sprintf("%q is not in this version: only %s is", s, alternatives(now))
		}
		return fmt.Sprintf("%s is not understood: must be %s", shown(s), alternatives(now))
	}
}

func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

func notEmpty(s string) string {
	if strings.TrimSpace(s) == "" {
		return "is empty: write a value, or remove the key"
	}
	return ""
}

// shown quotes a value for a message, shortened.
func shown(s string) string {
	if len(s) > 40 {
		s = s[:37] + "..."
	}
	return strconv.Quote(s)
}

// quoted shows a text as one would write it in the file: plain where that is the same.
func quoted(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-@:+~", r))
	})
	if plain && !slices.Contains([]string{"true", "false", "null", "off", "on", "~"}, s) {
		return s
	}
	return strconv.Quote(s)
}

// masked hides the value of a variable whose name says that it is a secret. Secrets belong into files, but people will
// put them here too, and what check prints ends up in tickets.
func masked(name, value string) string {
	name = strings.ToLower(name)
	for _, word := range []string{"key", "secret", "token", "pass"} {
		if strings.Contains(name, word) {
			return "********"
		}
	}
	return quoted(value)
}
