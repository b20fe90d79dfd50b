// Package page is tests alone: the page of the grid in a real Chromium, against sample data and against real agents.
package page
