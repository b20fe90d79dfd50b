//go:build linux

package torture

import (
	"testing"
)

func listed(t *testing.T, cases int) { t.Helper(); t.Logf("%d cases", cases) }
