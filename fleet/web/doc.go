// Package web serves the grid as a page: the nodes as their refs are, in one stream of changes for each browser, and
// the history. `addctl web` and `addctl web:export` are its commands.
//
// grid.go makes the values that the page shows, and is pure. Hub in hub.go reads while a browser looks, and knows what
// changed since when. server.go, answer.go and stream.go answer requests, access.go says who may send them, and
// export.go writes the page as files. What a browser runs is in fleet/web/page. docs/page.md documents the addresses.
package web
