// Package packaging is what bakes addagent into machines: units, packages, the bootstrap. Here are its tests.
package packaging
