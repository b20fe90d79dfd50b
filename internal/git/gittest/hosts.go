package gittest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// Azure is a ServerOptions.Wrap that answers as Azure DevOps does: in protocol v0, and no client that does not announce
// what git announces.
func Azure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Git-Protocol")
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			for _, word := range []string{"multi_ack_detailed", "side-band-64k"} {
				if !bytes.Contains(body, []byte(word)) {
					http.Error(w, "TF401041: The Git protocol sent is not as expected (Clients must support "+word+".).", http.StatusBadRequest)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// GitLab is a ServerOptions.Wrap with GitLab's routes: without .git a repository is known to a browser only, and the
// GET with which git begins is redirected to the name with it.
func GitLab(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repo, rest, named := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case strings.HasSuffix(repo, ".git"):
			next.ServeHTTP(w, r)
		case named && rest == "info/refs" && r.Method == http.MethodGet:
			u := *r.URL
			u.Path = "/" + repo + ".git/info/refs"
			http.Redirect(w, r, u.String(), http.StatusMovedPermanently)
		default:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
		}
	})
}
