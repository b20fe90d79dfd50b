// Package page is the grid as a page for a browser: its HTML, its style and its script, as they are sent.
//
// The script is made of the modules in src by go generate, which needs Go alone. docs/page.md says what the page shows
// and what it reads.
package page

import (
	_ "embed" // of the files
	"encoding/json"
	"fmt"
	"strings"
)

//go:generate go run ./join src page.js

//go:embed index.html
var html string

//go:embed page.js
var script string

//go:embed page.css
var style string

// Policy is the content security policy that the page is made for: no inline code, nothing from elsewhere, no sink of
// markup, no frame around it.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// HTML is index.html. It names page.css and page.js beside it.
func HTML() []byte { return []byte(html) }

// Script is page.js. It asks for events and history.json beside it.
func Script() []byte { return []byte(script) }

// Style is page.css.
func Style() []byte { return []byte(style) }

// ExportHTML is index.html of an export: page.js finds the data of DataScript and asks for nothing. The policy is in it
// as far as a file may have one, because no server says it.
func ExportHTML() []byte {
	policy := strings.ReplaceAll(strings.ReplaceAll(Policy, " frame-ancestors 'none';", ""), "connect-src 'self'; ", "")
	policy = strings.ReplaceAll(policy, "'self'", "'self' file:")
	text := strings.Replace(html, `<meta charset="utf-8">`, `<meta charset="utf-8">`+"\n"+`<meta http-equiv="Content-Security-Policy" content="`+policy+`">`, 1)
	return []byte(strings.Replace(text, `<script src="page.js">`, `<script src="data.js"></script>`+"\n"+`<script src="page.js">`, 1))
}

// DataScript is data.js of an export: the grid as the event "grid" has it, the history as history.json has it, and what
// was left out.
func DataScript(grid, history json.RawMessage, note string) ([]byte, error) {
	data, err := json.Marshal(struct {
		Grid    json.RawMessage `json:"grid"`
		History json.RawMessage `json:"history"`
		Note    string          `json:"note"`
	}{grid, history, note})
	if err != nil {
		return nil, fmt.Errorf("data of the page: %w", err)
	}
	return []byte("self.addctlData = " + string(data) + ";\n"), nil
}
