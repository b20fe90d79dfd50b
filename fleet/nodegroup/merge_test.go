package nodegroup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/internal/testkit"
)

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct{ base, own, want string }{
		"lists are appended":                  {`{"k": [1, 2]}`, `{"k": [2, 3]}`, `{"k": [1,2,2,3]}`},
		"maps are merged":                     {`{"k": {"a": 1, "b": 2}}`, `{"k": {"b": 3, "c": 4}}`, `{"k": {"a": 1,"b": 3,"c": 4}}`},
		"one level deep":                      {`{"k": {"a": {"x": 1, "y": 2}}}`, `{"k": {"a": {"x": 3}}}`, `{"k": {"a": {"x": 3}}}`},
		"lists in maps are not appended":      {`{"k": {"a": [1]}}`, `{"k": {"a": [2]}}`, `{"k": {"a": [2]}}`},
		"anything else is the group's":        {`{"k": false, "l": 1}`, `{"k": {"a": 1}, "l": []}`, `{"k": {"a": 1},"l": []}`},
		"an empty list inherits":              {`{"k": [1]}`, `{"k": []}`, `{"k": [1]}`},
		"an empty map inherits":               {`{"k": {"a": 1}}`, `{"k": {}}`, `{"k": {"a": 1}}`},
		"null removes":                        {`{"k": [1], "l": 2}`, `{"k": null}`, `{"l": 2}`},
		"null removes in a map":               {`{"k": {"a": 1, "b": 2}}`, `{"k": {"a": null}}`, `{"k": {"b": 2}}`},
		"null that removes nothing":           {`{"k": {"b": 2}}`, `{"k": {"a": null}, "l": null}`, `{"k": {"b": 2,"a": null}}`},
		"null in __base__":                    {`{"k": null}`, `{"k": 1}`, `{"k": 1}`},
		"the order of __base__, then its own": {`{"z": 1, "y": 2}`, `{"a": 0, "y": 3, "b": 4}`, `{"z": 1,"y": 3,"a": 0,"b": 4}`},
		"digits stay":                         {`{"k": [1.50]}`, `{"k": [1e3, 12345678901234567890]}`, `{"k": [1.50,1e3,12345678901234567890]}`},
	} {
		base, _ := parseJSON([]byte(c.base))
		own, _ := parseJSON([]byte(c.own))
		if got := compact(object(merge(base.Fields, own.Fields)...)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestMergeProperties holds for any two maps.
func TestMergeProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range testkit.Rounds(2000, 20_000) {
		base, own := randomMap(random, 2), randomMap(random, 2)
		before := compact(base) + compact(own)
		merged := object(merge(base.Fields, own.Fields)...)
		said := fmt.Sprintf("%s with %s: %s", compact(base), compact(own), compact(merged))
		if compact(base)+compact(own) != before {
			t.Fatal("the merge changed what it merges: " + said)
		}
		if again := object(merge(nil, merged.Fields)...); compact(again) != compact(merged) {
			t.Fatal("a merged group has a null: " + said)
		}
		if alone := object(merge(base.Fields, nil)...); compact(alone) != compact(object(merge(nil, base.Fields)...)) {
			t.Fatal("nothing over __base__ is not __base__: " + said)
		}
		var keys []string
		for _, f := range merged.Fields {
			name := f.Key.Text
			keys = append(keys, name)
			b, o := get(base, name), get(own, name)
			switch {
			case b.Kind == strictyaml.List && o.Kind == strictyaml.List:
				if len(f.Value.List) != len(b.List)+len(o.List) {
					t.Fatal("a list lost an element: " + said)
				}
			case b.Kind == strictyaml.Map && o.Kind == strictyaml.Map:
				for _, inner := range f.Value.Fields {
					want := get(o, inner.Key.Text)
					if !slices.ContainsFunc(o.Fields, func(f strictyaml.Field) bool { return f.Key.Text == inner.Key.Text }) {
						want = get(b, inner.Key.Text)
					}
					if compact(inner.Value) != compact(want) {
						t.Fatal("a key of a map is not as it was written: " + said)
					}
				}
			case o.Kind != strictyaml.Null:
				if compact(f.Value) != compact(o) {
					t.Fatal("the group's value does not win: " + said)
				}
			default:
				if compact(f.Value) != compact(b) {
					t.Fatal("an inherited value changed: " + said)
				}
			}
		}
		if got := slices.Compact(slices.Sorted(slices.Values(keys))); len(got) != len(keys) {
			t.Fatal("a key is there twice: " + said)
		}
	}
}

func get(n strictyaml.Node, name string) strictyaml.Node { return Group{Fields: n.Fields}.Value(name) }

func randomMap(r *rand.Rand, depth int) strictyaml.Node {
	n := object()
	for _, name := range strings.Split("abcdef", "") {
		if r.IntN(2) == 0 {
			n.Fields = append(n.Fields, member(name, randomValue(r, depth)))
		}
	}
	r.Shuffle(len(n.Fields), func(i, j int) { n.Fields[i], n.Fields[j] = n.Fields[j], n.Fields[i] })
	return n
}

func randomValue(r *rand.Rand, depth int) strictyaml.Node {
	switch k := r.IntN(6); {
	case k < 2 && depth > 0:
		return randomMap(r, depth-1)
	case k == 2:
		return listOf(text("x"), strictyaml.Node{Kind: strictyaml.Integer, Text: fmt.Sprint(r.IntN(9))})
	case k == 3:
		return strictyaml.Node{Kind: strictyaml.Null}
	}
	return text(fmt.Sprint(r.IntN(99)))
}
