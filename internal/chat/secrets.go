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

// secrets are what must never be shown of a room: tokens, passwords, keys.
type secrets []string

// window is how many characters of a secret betray it: servers and logs cut texts, so a part of it may appear alone.
func window(length int) int { return min(8, max(4, length/2)) }

// in tells whether a text contains a secret or a part of one, plain or in a form that gateways and services print:
// escaped for a URL or HTML, hexadecimal, base64 after other bytes ("Basic user:token").
func (s secrets) in(text string) bool {
	text = strings.ToLower(text)
	for _, secret := range s {
		if slices.ContainsFunc(forms(secret), func(form string) bool { return overlaps(text, form) }) {
			return true
		}
	}
	return false
}

// said is a text from outside, or a replacement if it contains a secret. Masking parts is not enough: the rest may
// contain the secret in another form.
func (s secrets) said(text string) string {
	if s.in(text) {
		return "(its text is not shown: it contains the token)"
	}
	return text
}

// free is an error of a library, without its text if that contains a secret.
func (s secrets) free(err error) error {
	if s.in(err.Error()) {
		return errors.New(s.said(err.Error()))
	}
	return err
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

// overlaps tells whether the text contains a window of the form, or all of a shorter form.
func overlaps(text, form string) bool {
	n := min(window(len(form)), len(form))
	for i := 0; i+n <= len(form); i++ {
		if strings.Contains(text, form[i:i+n]) {
			return true
		}
	}
	return false
}
