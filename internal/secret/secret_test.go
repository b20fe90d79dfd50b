package secret

import (
	"errors"
	"strings"
	"testing"
)

func TestIn(t *testing.T) {
	s := Set{"", "Tok3n/With+Odd=Signs&more", "pq"}
	for text, want := range map[string]bool{
		"": false, "nothing of it": false, "the token is wrong": false, "TOK3N/WITH": true, "odd=signs": true, "Tok3n%2FWith%2BOdd": true, "signs&amp;more": true,
		"x: pq": true, "546f6b336e2f576974682b4f64643d5369676e73266d6f7265": true, "VG9rM24vV2l0aCtPZGQ9U2lnbnMmbW9yZQ==": true,
	} {
		if got := s.In(text); got != want {
			t.Errorf("%q holds a secret: %v, want %v", text, got, want)
		}
		if free := s.Free(errors.New(text)).Error(); want == (free == text) {
			t.Errorf("%q is told as %q", text, free)
		}
	}
}

// TestHolds: a name disappears only when that is no accident.
func TestHolds(t *testing.T) {
	s := Set{"web-frontend-secret", "presence", "ghp_Q7vXz81LkMnBw72TyUiOp0AsDfGh"}
	for name, want := range map[string]bool{
		"refs/heads/presence/web-frontend-1": false, "refs/heads/main": false, "refs/heads/Q7vXz81LkMnBw72": false,
		"refs/heads/web-frontend-secret": true, "refs/heads/ghp_Q7vXz81LkMnBw72TyUiOp0AsDfGh": true, "refs/heads/q7vxz81lkmnbw72tyuiop0": true,
	} {
		if got := s.Holds(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestAdd(t *testing.T) {
	var s Set
	for _, secret := range append(strings.Split("abcdefghij", ""), "j", "") {
		s.Add(secret)
	}
	if got := strings.Join(s, ""); got != "cdefghij" {
		t.Errorf("remembered: %q", got)
	}
}
