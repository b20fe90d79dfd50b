// Package secret keeps secrets out of what other machines and programs say, before that goes into a log, a report or a
// room: a server may repeat the token that it was shown.
//
// A Set is what was shown to one of them. Said is the door for its words, Holds for names that it gives.
package secret

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Set is what must never be shown: tokens, passwords, keys.
type Set []string

// Add takes in one more. Of those that were shown one after the other the last few are remembered.
func (s *Set) Add(secret string) {
	if secret != "" && !slices.Contains(*s, secret) {
		*s = append((*s)[max(0, len(*s)-7):], secret)
	}
}

// OfProxy is the password that a request shows to the proxy on its way; "" = none.
func OfProxy(way http.RoundTripper, r *http.Request) string {
	t, ok := way.(*http.Transport)
	if !ok || t.Proxy == nil {
		return ""
	}
	proxy, err := t.Proxy(r)
	if err != nil || proxy == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return password
}

// In tells whether a text contains a secret or a part of one, plain or in a form that gateways and services print:
// escaped for a URL or HTML, hexadecimal, base64 after other bytes ("Basic user:token"). Eight characters betray a
// secret, or half of a short one: servers and logs cut texts, so a part may appear alone.
func (s Set) In(text string) bool {
	return s.overlaps(text, func(length int) int { return min(8, max(4, length/2)) })
}

// Holds is In for names, such as those of refs. They are data, and what is in both by accident must not make a name
// disappear: only half of a secret does, and at least sixteen characters or all of a form.
func (s Set) Holds(name string) bool {
	long := slices.DeleteFunc(slices.Clone(s), func(secret string) bool { return len(secret) < 12 })
	return long.overlaps(name, func(length int) int { return max(16, length/2) })
}

// Said is a text from outside, or a replacement if it contains a secret. Masking parts is not enough: the rest may
// contain the secret in another form.
func (s Set) Said(text string) string {
	if s.In(text) {
		return "(its text is not shown: it contains the token)"
	}
	return text
}

// Free is an error of a library, without its text if that contains a secret.
func (s Set) Free(err error) error {
	if s.In(err.Error()) {
		return errors.New(s.Said(err.Error()))
	}
	return err
}

// overlaps tells whether the text contains a window of a form of a secret, or all of a shorter form.
func (s Set) overlaps(text string, window func(length int) int) bool {
	text = strings.ToLower(text)
	for _, secret := range s {
		if len(text) < min(window(len(secret)), len(secret)) {
			continue // the usual case, and no form is shorter
		}
		for _, form := range forms(secret) {
			n := min(window(len(form)), len(form))
			for i := 0; i+n <= len(form); i++ {
				if strings.Contains(text, form[i:i+n]) {
					return true
				}
			}
		}
	}
	return false
}

// forms are the ways to write a secret, in lower case.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret), hex.EncodeToString([]byte(secret))}
	for offset := range 3 {
		// Four characters encode three bytes, so the secret has three forms, by the number of bytes before it. The
		// first and the last group contain bits of its neighbours.
		for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			coded := coding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
			if offset > 0 {
				coded = coded[min(4, len(coded)):]
			}
			all = append(all, coded[:len(coded)/4*4])
		}
	}
	for i := range all {
		all[i] = strings.ToLower(all[i])
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(form string) bool { return form == "" })
}
