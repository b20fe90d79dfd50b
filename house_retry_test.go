package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"testing"
)

// delayed are the names of durations that only internal/retry makes longer.
var delayed = regexp.MustCompile(`(?i)(delay|backoff|wait|pause|again|retry|rest|patience)`)

// TestOnlyRetryMultipliesADelay refuses a second backoff: a delay that is doubled, shifted, or given jitter.
func TestOnlyRetryMultipliesADelay(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.dir == "internal/retry" {
			continue
		}
		no := func(n ast.Node) {
			t.Errorf("%s: makes a delay longer: that is done by a retry.Backoff", s.fset.Position(n.Pos()))
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.SHL && namesDelay(n.X) || n.Op == token.MUL && (isShare(n.X) || isShare(n.Y)) {
					no(n)
				}
			case *ast.AssignStmt:
				if (n.Tok == token.MUL_ASSIGN || n.Tok == token.SHL_ASSIGN) && namesDelay(n.Lhs[0]) {
					no(n)
				}
				for i, r := range n.Rhs { // delay = min(2*delay, most)
					if n.Tok == token.ASSIGN && len(n.Lhs) == len(n.Rhs) && namesDelay(n.Lhs[i]) && multiplies(r, n.Lhs[i]) {
						no(n)
					}
				}
			}
			return true
		})
	}
}

// namesDelay says that an expression is a variable or a field whose last name is that of a delay.
func namesDelay(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return delayed.MatchString(e.Name)
	case *ast.SelectorExpr:
		return delayed.MatchString(e.Sel.Name)
	}
	return false
}

// isShare says that an expression is float64(delay), a factor of jitter.
func isShare(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	return ok && len(c.Args) == 1 && sameName(c.Fun, ast.NewIdent("float64")) && namesDelay(c.Args[0])
}

// multiplies says that an expression holds a product of the same variable.
func multiplies(e, variable ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if b, ok := n.(*ast.BinaryExpr); ok && b.Op == token.MUL {
			found = found || sameName(b.X, variable) || sameName(b.Y, variable)
		}
		return true
	})
	return found
}

func sameName(a, b ast.Expr) bool {
	x, ok := a.(*ast.Ident)
	y, also := b.(*ast.Ident)
	return ok && also && x.Name == y.Name
}
