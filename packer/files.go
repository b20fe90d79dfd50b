// Package packer holds what bakes addagent into images: templates, and two scripts that run in the machine. addctl
// packer:create writes some of them beside a file of groups.
//
// Begin with docs/images.md for the templates here, and with docs/groups.md for images of groups.
package packer

import _ "embed" // of the files

// Template is the one template for the images of all groups, in Packer's own language.
//
//go:embed group/group.pkr.hcl
var Template string

// Plugins is what Packer 1.7 and newer fetches for it.
//
//go:embed group/plugins.pkr.hcl
var Plugins string

// Bake installs the package in the machine.
//
//go:embed bake
var Bake string

// Seal takes from the machine what no image may hold.
//
//go:embed seal
var Seal string
