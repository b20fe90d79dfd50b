package chat

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"html"
	"net/url"
	"slices"
	"strings"
)

// secrets are what must not be told about a room: tokens, passwords, keys.
type secrets []string

// window is how much of a secret betrays it: servers and logs cut texts, so its beginning or its end may come alone.
func window(length int) int { return min(8, max(4, length/2)) }

// in tells whether a text holds a secret or a part of it, as it is or in a form that gateways and services print:
// escaped for an address or a page, hexadecimal, base64 with whatever before it ("Basic user:token").
func (s secrets) in(text string) bool {
	if text == "" {
		return false
	}
	text = strings.ToLower(text)
	for _, secret := range s {
		if slices.ContainsFunc(forms(secret), func(form string) bool { return overlaps(text, form) }) {
			return true
		}
	}
	return false
}

// said is a text that comes from outside, or what stands in its place when it holds a secret. Nothing is masked inside
// of it: what is left around a mask may be the rest of the secret in a form that nobody thought of.
func (s secrets) said(text string) string {
	if s.in(text) {
		return "(its words are not shown, they hold the token)"
	}
	return text
}

// free is an error of a library as it is, or one that says the same without its text when that holds a secret.
func (s secrets) free(err error) error {
	if s.in(err.Error()) {
		return errors.New(s.said(err.Error()))
	}
	return err
}

// forms are how a secret may be written, in lower case.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret), hex.EncodeToString([]byte(secret))}
	for offset := range 3 {
		// Four characters hold three bytes, so what stands before the secret decides which of three forms it has. The first
		// and the last group hold bits of its neighbours.
		for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			coded := coding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
			if offset > 0 {
				coded = coded[min(4, len(coded)):]
			}
			all = append(all, coded[:len(coded)/4*4])
		}
	}
	var kept []string
	for _, form := range all {
		if form = strings.ToLower(form); form != "" && !slices.Contains(kept, form) {
			kept = append(kept, form)
		}
	}
	return kept
}

// overlaps tells whether a window of the form stands in the text. A form that is shorter counts whole.
func overlaps(text, form string) bool {
	n := min(window(len(form)), len(form))
	for i := 0; i+n <= len(form); i++ {
		if strings.Contains(text, form[i:i+n]) {
			return true
		}
	}
	return false
}
