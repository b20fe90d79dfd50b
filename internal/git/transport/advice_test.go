package transport

import (
	"errors"
	"testing"
)

func TestOneLine(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	if err := OneLine(nil, a, nil, b); err == nil || err.Error() != "a; b" || !errors.Is(err, a) || !errors.Is(err, b) {
		t.Errorf("%v", err)
	}
	if err := OneLine(nil, nil); err != nil {
		t.Errorf("%v", err)
	}
}
