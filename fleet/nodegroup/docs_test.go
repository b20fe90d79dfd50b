package nodegroup

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestDocs keeps the page of keys and the schema for editors the same as the table. UPDATE=1 writes them.
func TestDocs(t *testing.T) {
	testkit.Golden(t, "../../docs/nodes.schema.json", schema(t))
	testkit.Section(t, "../../docs/nodes.md", "keys", keyTables())
}

// keyTables are the reference of all keys: a table for those of a group, and one for each map in it.
func keyTables() string {
	var b strings.Builder
	table := func(title string, keys []key) {
		fmt.Fprintf(&b, "\n### %s\n\n| key | takes | default | what for |\n|---|---|---|---|\n", title)
		for _, k := range keys {
			def := "-"
			if k.def != "" {
				def = "`" + k.def + "`"
			}
			doc := k.doc
			if len(k.kind.taken) > 0 {
				names := make([]string, len(k.kind.taken))
				for i, n := range k.kind.taken {
					name, _, _ := strings.Cut(n, "=")
					names[i] = "`" + name + "`"
				}
				doc += " Not " + human.List(names, "or") + "."
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, strings.ReplaceAll(k.kind.takes, "|", `\|`), def, doc)
		}
	}
	table("A group", groupKeys())
	for _, k := range groupKeys() {
		if inner := k.kind.inner(); len(inner) > 0 {
			table("`"+k.name+"`", inner)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// schema is the table as a JSON schema. It knows nothing of what keys mean together.
func schema(t *testing.T) string {
	t.Helper()
	group := schemaOf(knownKeys("a group", groupKeys()...))
	group["description"] = "A group, or what all groups inherit."
	doc := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nodes.json", "type": "object",
		"description": "The groups of nodes of addctl: docs/nodes.md",
		"properties":  map[string]any{"$schema": map[string]any{"type": "string"}, baseName: map[string]any{"$ref": "#/$defs/group"}},
		"$defs":       map[string]any{"group": group}, "additionalProperties": false,
	}
	// Go's regular expressions look nowhere ahead, and the schema is checked with them: a group is what is not x-.
	doc["patternProperties"] = map[string]any{"^x-": true, `^([A-Za-wyz0-9][A-Za-z0-9_-]{0,62}|x|x[A-Za-z0-9_][A-Za-z0-9_-]{0,61})$`: map[string]any{"$ref": "#/$defs/group"}}
	data, err := json.MarshalIndent(doc, "", "  ")
	testkit.Must(t, err)
	return string(data) + "\n"
}

// schemaOf is the schema of a value. null is always taken: it removes what is inherited.
func schemaOf(k shape) map[string]any {
	s := map[string]any{}
	types := map[strictyaml.Kind]string{strictyaml.Text: "string", strictyaml.Integer: "integer", strictyaml.Bool: "boolean", strictyaml.List: "array", strictyaml.Map: "object"}
	if name := types[k.what]; name != "" {
		s["type"] = []any{name, "null"}
	}
	if len(k.or) > 0 {
		var all []any
		for _, one := range k.or {
			all = append(all, schemaOf(one))
		}
		s["anyOf"] = all
	}
	switch {
	case k.what == strictyaml.Bool:
		s["enum"] = []any{false, nil}
	case k.words != nil:
		words := []any{nil}
		for _, w := range k.words {
			words = append(words, w)
		}
		s["enum"] = words
	case k.form != nil:
		s["pattern"] = k.form.String()
	case k.what == strictyaml.Integer:
		s["minimum"], s["maximum"] = k.least, k.most
	case k.what == strictyaml.Text && k.most > 0:
		s["maxLength"] = k.most
	}
	if k.items != nil {
		item := schemaOf(*k.items)
		item["not"] = map[string]any{"type": "null"}
		s["items"] = item
	}
	properties := map[string]any{}
	for _, one := range k.keys {
		inner := schemaOf(one.kind)
		inner["description"] = strings.ReplaceAll(one.doc, "`", "")
		properties[one.name] = inner
	}
	for _, name := range k.taken {
		name, _, _ = strings.Cut(name, "=")
		properties[name] = false
	}
	if len(properties) > 0 {
		s["properties"] = properties
	}
	if len(k.keys) > 0 {
		s["additionalProperties"], s["patternProperties"] = false, map[string]any{"^x-": true}
	} else if k.values != nil {
		s["additionalProperties"] = schemaOf(*k.values)
	}
	if k.names != nil {
		s["propertyNames"] = map[string]any{"pattern": k.names.String()}
	}
	return s
}

// TestSchemaIsTheLoader: of each key and of many values, the schema and the loader take the same, but for paths and
// URLs, of which the schema knows less.
func TestSchemaIsTheLoader(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema(t)))
	testkit.Must(t, err)
	compiler := jsonschema.NewCompiler()
	testkit.Must(t, compiler.AddResource("nodes.schema.json", doc))
	compiled, err := compiler.Compile("nodes.schema.json")
	testkit.Must(t, err)

	values := []string{"null", "true", "false", "0", "1", "-1", "1.5", "99999999", `""`, `" "`, `"x"`, `"a b"`, `"hcl"`, `"newest"`, `"ami-1ebb2077"`, `"us-east-1"`, `"m1.large"`, `"subnet-0a1b2c3d"`,
		`"recipe[a::b@1.2.3]"`, `"role[a::b]"`, `"123456789012"`, `"ssm:/x"`, `"` + strings.Repeat("x", 300) + `"`, `"git@git.example.org:ops.git"`, "[]", "[null]", "[1]", `["recipe[x]"]`, `["subnet-0a1b2c3d"]`, "[{}]",
		`[{"AutoScalingGroupName": "x"}]`, "{}", `{"x-a": [null]}`, `{"a": 1}`, `{"a": "b"}`, `{"a": "git@git.example.org:ops.git"}`, `{"a<b": "c"}`, `{"Name": "x"}`, `{"ImageId": "x"}`, `{"a/b": null}`}
	texts := []string{"[]", "{}", "1", `{"$schema": "x", "x-a": 1}`, `{"$schema": 1}`, `{"a b": {}}`, `{"x": {}, "xy": {}, "x1-v2": {}}`, `{"a": []}`, `{"a": null}`, `{"-a": {}}`, `{"__base__": {"nope": 1}}`}
	var walk func(keys []key, before, after string)
	walk = func(keys []key, before, after string) {
		for _, k := range keys {
			for _, v := range values {
				texts = append(texts, fmt.Sprintf("%s%q: %s%s", before, k.name, v, after))
			}
			walk(k.kind.inner(), fmt.Sprintf("%s%q: {", before, k.name), "}"+after)
		}
	}
	walk(groupKeys(), `{"__base__": {"autoscale": {"node_min": 0, "node_max": 10000}, "source_ami": {"name": "x", "owner": "self"}, "packer_template": "t"}, "a": {`, "}}")
	taken, refused := 0, 0
	for _, text := range texts {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		testkit.Must(t, err)
		bySchema := compiled.Validate(value)
		_, problems := parse("nodes.json", []byte(text))
		lenient := strings.Contains(text, `"image"`) || strings.Contains(text, `"files"`) || strings.Contains(text, "agent_package") || strings.Contains(text, `"bake"`) ||
			strings.Contains(text, `"presence"`) || strings.Contains(text, `"repos"`) || strings.Contains(text, `"owner": null`) || strings.Contains(text, `: null`) || strings.Contains(text, `"node_m`)
		if bySchema != nil && len(problems) == 0 || bySchema == nil && len(problems) > 0 && !lenient {
			t.Errorf("%s\nthe schema: %v\nthe loader: %v", text, bySchema, problems)
		}
		if bySchema == nil {
			taken++
		} else {
			refused++
		}
	}
	if taken < 100 || refused < 100 {
		t.Errorf("%d taken, %d refused: the list is too short", taken, refused)
	}
}

// TestPageExample: the example of the page is a file of groups without a mistake.
func TestPageExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/nodes.md")
	testkit.Must(t, err)
	_, text, _ := strings.Cut(string(page), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	if f, problems := parse("nodes.json", []byte(text)); len(problems) > 0 || len(f.Groups) < 2 {
		t.Errorf("%v", problems)
	}
	for _, k := range groupKeys() {
		if !strings.HasSuffix(k.doc, ".") || k.kind.takes == "" {
			t.Errorf("%+v", k)
		}
	}
}
