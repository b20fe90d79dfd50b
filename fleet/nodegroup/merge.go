package nodegroup

import (
	"slices"

	"github.com/addagent/addagent/internal/strictyaml"
)

// merge gives a group what it inherits: lists are appended, maps are merged one level deep, anything else is the
// group's. null removes what is inherited.
func merge(base, own []strictyaml.Field) []strictyaml.Field {
	merged := overlay(base, own, func(base, own strictyaml.Node) strictyaml.Node {
		switch {
		case base.Kind == strictyaml.List && own.Kind == strictyaml.List:
			own.List = slices.Concat(base.List, own.List)
		case base.Kind == strictyaml.Map && own.Kind == strictyaml.Map:
			own.Fields = overlay(base.Fields, own.Fields, func(_, own strictyaml.Node) strictyaml.Node { return own })
		}
		return own
	})
	return slices.DeleteFunc(merged, func(f strictyaml.Field) bool { return f.Value.Kind == strictyaml.Null })
}

// overlay puts fields over others, which keep their order, and combines the values of a key that both have. A null
// that removes nothing stays: it may be the value of an attribute.
func overlay(base, own []strictyaml.Field, combine func(base, own strictyaml.Node) strictyaml.Node) (merged []strictyaml.Field) {
	mine := make(map[string]strictyaml.Field, len(own))
	for _, f := range own {
		mine[f.Key.Text] = f
	}
	inherited := make(map[string]bool, len(base))
	for _, f := range base {
		over, both := mine[f.Key.Text]
		inherited[f.Key.Text] = true
		switch {
		case !both:
			merged = append(merged, f)
		case over.Value.Kind != strictyaml.Null:
			over.Value = combine(f.Value, over.Value)
			merged = append(merged, over)
		}
	}
	for _, f := range own {
		if !inherited[f.Key.Text] {
			merged = append(merged, f)
		}
	}
	return merged
}
