package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
)

// presence checks the repositories of presence and requests, once all is read.
func (l *loader) presence() {
	const url, read, requests = "presence.url", "presence.read", "requests.url"
	p := &l.c.Presence
	if r := l.c.Requests; r.URL != "" {
		l.auth(r.Auth, []string{r.URL}, "requests.")
		if sameRepository(r.URL, p.URL) {
			l.say(l.at[requests], requests, "is the presence repository, to which every node can push: use another that nodes can only read")
		}
	}
	p.RefPrefix = strings.TrimSuffix(p.RefPrefix, "/") + "/"
	if p.URL == "" && !l.complains(url) {
		if p.Read > 0 {
			l.say(l.at[read], read, "needs presence.url: without presence there is nothing to read")
		}
		return
	}
	l.auth(p.Auth, []string{p.URL}, "presence.")
	for i, r := range l.c.Repos {
		for j, repo := range r.URLs {
			if sameRepository(p.URL, repo) {
				at := l.at[fmt.Sprintf("repos[%d].url[%d]", i, j)]
				l.say(l.at[url], url, fmt.Sprintf("is also a url of repos[%d] (%s:%d%s): the presence repository is never worked, keep one",
					i, at.file, at.line, l.kept))
			}
		}
	}
}

// sameRepository compares URLs as servers do: without .git or a slash at the end.
func sameRepository(a, b string) bool {
	plain := func(s string) string {
		return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(s, "/"), ".git"), "/")
	}
	return plain(a) != "" && plain(a) == plain(b)
}

// checkRefPrefix takes a prefix, whose last slash is optional. Refs below main would collide with the fold's.
func checkRefPrefix(s string) string {
	const forms = "such as refs/heads/presence/ or refs/presence/"
	name := strings.TrimSuffix(s, "/")
	s = name + "/"
	switch {
	case !strings.HasPrefix(s, "refs/"):
		return human.Quote(name) + " does not begin with refs/: write a prefix for refs, " + forms
	case s == "refs/" || s == "refs/heads/":
		return human.Quote(s) + " is shared by all refs: write a prefix below it, " + forms
	case odd(name) || len(name) > 200 || address.CheckRef(name) != nil:
		return human.Quote(name) + " cannot begin the name of a ref: write a prefix for refs, " + forms
	case strings.HasPrefix(s, "refs/heads/main/"):
		return "must not be below refs/heads/main, which has everyone's record: write another prefix, " + forms
	}
	return ""
}

// room checks a room, once all its keys are read.
func (l *loader) room(r *Room, prefix string, start place) {
	url, file := prefix+"url", prefix+"url_file"
	switch {
	case r.URL != "" && r.URLFile != "":
		l.say(l.at[url], url, "is set as well as url_file: keep one of them")
	case r.URL == "" && r.URLFile == "" && !l.complains(url) && !l.complains(file):
		l.say(start, url, "is missing: a room needs one, or a url_file")
	}
	if r.URL != "" {
		l.noteReadable(url, "contains a secret")
		if l.o.ChatURL != nil {
			if err := l.o.ChatURL(r.URL); err != nil {
				l.say(l.at[url], url, err.Error())
			}
		}
	}
	if r.URLFile != "" {
		if text := l.credential(file, file, r.URLFile); text != "" && l.o.ChatURL != nil {
			if err := l.o.ChatURL(text); err != nil {
				l.absent(l.at[file], file, r.URLFile+": "+err.Error())
			}
		}
	}
}

// rooms checks what rooms need from the rest of the config.
func (l *loader) rooms() {
	for i, r := range l.c.Chat {
		if key := entryKey("chat", i) + "from"; r.From == "fleet" && l.c.Presence.URL == "" && !l.complains("presence.url") {
			l.say(l.at[key], key, "fleet needs presence.url: its messages come from presence")
		}
	}
}

var roomScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]{0,30}://.`)

// checkRoomURL quotes nothing: all of it may be a secret.
func checkRoomURL(s string) string {
	const forms = "write KIND://..., such as slack:// or hipchat://"
	switch {
	case s == "":
		return "is empty: " + forms
	case odd(s) || strings.ContainsFunc(s, unicode.IsSpace):
		return "contains a space or a control character: remove it"
	case !roomScheme.MatchString(s):
		return "is not a URL: " + forms
	}
	return ""
}

func maskRoomURL(s string) string {
	if s == "" {
		return ""
	}
	scheme, _, _ := strings.Cut(s, "://")
	return scheme + "://" + stars
}
