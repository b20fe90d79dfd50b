// Package daemon makes an agent out of a config, and hands a changed config to one that runs. Begin with Start in
// start.go, the story of a start, and App.configure in app.go. It decides nothing: the concrete kinds only meet here.
package daemon
