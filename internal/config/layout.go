package config

import "path/filepath"

// Nodeinfo is the folder with what this node says and is told of itself.
func (c *Config) Nodeinfo() string { return filepath.Join(c.Home, "nodeinfo") }

// BeatLock is held by the process that beats, WorkLock by the one that moves trees or works.
func (c *Config) BeatLock() string { return filepath.Join(c.RunDir, "beat.lock") }
func (c *Config) WorkLock() string { return filepath.Join(c.RunDir, "work.lock") }

// InitMemory is the folder where the init of this instance is remembered.
func (c *Config) InitMemory() string { return filepath.Join(c.StateDir, "init") }

// Origin is the file and line, or the flag, that set a key.
func (c *Config) Origin(key string) string {
	for _, l := range c.Lines() {
		if l.Key == key {
			return l.From
		}
	}
	return "config"
}
