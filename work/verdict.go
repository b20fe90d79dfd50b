package work

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work/sets"
)

// Verdict says whether an item has to be worked, and is passed to its script as ADD_VERDICT.
type Verdict string

// The four verdicts.
const (
	First      Verdict = "first"      // never worked with success here: there is no work.sh_VERSION
	Same       Verdict = "same"       // the repository is at the version of the last success, and nothing watched outside of it differs
	Unaffected Verdict = "unaffected" // the version differs, but nothing that is watched does
	Changed    Verdict = "changed"    // all else, and whatever has not succeeded since it was last tried
)

// CannotRun begins the reason of an item that only a push corrects.
const CannotRun = "cannot run: "

// Wanted tells whether an item of this verdict is to be worked; one with `run: always` is, whatever the verdict.
func (v Verdict) Wanted() bool { return v == First || v == Changed }

// Keys in Ids that are no path: every item watches its script and its work.yaml, wherever they stand.
const (
	keyScript = "work.sh"
	keyYAML   = "work.yaml"
)

// Fingerprints looks up what every watch of an item is now. all holds the checkouts of this node by repository name,
// the item's own among them.
//
// The keys: "." the whole own repository, "./app" a path in it, "app2:." the whole repository app2, "app2:war" a path
// in that, "work.sh" the item's script and "work.yaml" the file beside it. The values are git object ids, "" for what
// is not there; the script's has "+x" at its end when git has it as executable, since that decides how it is run.
//
// Watches of nodes and of services are not among them: no tree holds them. Survey adds them at each beat, by keys like
// "nodes of part app1" and "service db, role master".
//
// A watched repository that this node does not have is no error but "not there", and a notice. One whose Tree is nil is
// there and cannot be read now, which is an error: taken for "not there" it would make work of a trouble. So is every
// other failure to read a tree.
func Fingerprints(it Item, all map[string]Checkout) (ids map[string]string, notices []string, err error) {
	own, ok := all[it.Repo]
	if !ok || own.Tree == nil {
		return nil, nil, fmt.Errorf("%s: its repository %s is missing", it.Name, it.Repo)
	}
	ids = map[string]string{}
	look := func(in Tree, key, path, shown string) {
		id, failed := in.ID(path)
		if ids[key] = id; failed != nil && err == nil {
			err = fmt.Errorf("%s: look up %s: %w", it.Name, shown, failed)
		}
	}
	if it.Level != Init { // which watches the folder that its scripts stand in, and has no work.yaml
		look(own.Tree, keyScript, it.Script, it.Script)
		if it.Executable {
			ids[keyScript] += "+x"
		}
		look(own.Tree, keyYAML, it.yamlPath(), it.yamlPath())
	}
	for _, w := range it.Watch {
		if w.ofSet() {
			continue // no tree knows it
		}
		from, ok := own, true
		if w.Repo != "" && w.Repo != it.Repo {
			from, ok = all[w.Repo]
		}
		key := w.key(it.Repo)
		if ok && from.Tree == nil {
			return nil, nil, fmt.Errorf("%s: look up %s: the tree of %s cannot be read", it.Name, key, from.Repo)
		}
		if !ok {
			ids[key] = ""
			notices = append(notices, fmt.Sprintf("%s watches repository %s, which this node does not have", it.Name, w.Repo))
			continue
		}
		look(from.Tree, key, w.Path, key)
	}
	if err != nil {
		return nil, nil, err
	}
	return ids, notices, nil
}

// Fingerprint is one short name for what all watches are together: the first 16 hex digits of a sha256 over the sorted
// pairs.
func Fingerprint(ids map[string]string) string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(ids)) {
		fmt.Fprintf(h, "%d:%s=%d:%s\n", len(key), key, len(ids[key]), ids[key])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Judgement is what was decided of one item, and all that it was decided from.
type Judgement struct {
	Item        Item
	Memory      Memory
	Version     string // commit that the item's repository is at
	Verdict     Verdict
	Ids         map[string]string // what each watch is now, as Fingerprints returns it
	Fingerprint string
	Changed     []string // keys of the watches that differ from the last success, "./" cut; nil when that is not known
	Why         string   // one sentence for people, ending in the verdict
	Missing     []string // watched paths that are not there: "ap: not there, did you mean app?"
	Await       string   // why its first run waits, though it is wanted: see NodeSet; "" = it does not
	Overdue     bool     // ... for so long that a person should know
	Sets        []byte   // of services, for its script: a JSON list; empty = not all are known, nil = it watches none
}

// Judge decides. It is pure: the same values give the same judgement, on every node.
func Judge(it Item, version string, ids map[string]string, m Memory) Judgement {
	j := Judgement{Item: it, Memory: m, Version: version, Ids: ids, Fingerprint: Fingerprint(ids)}
	var outside []string // those of the differing watches that are not in the item's own repository; all of them when that is not known
	if m.Done != nil {
		for _, key := range differing(ids, m.Done.Ids) {
			j.Changed = append(j.Changed, strings.TrimPrefix(key, "./"))
			if isOutside(key) {
				outside = append(outside, key)
			}
		}
	} else {
		outside = slices.DeleteFunc(slices.Sorted(maps.Keys(ids)), func(key string) bool { return !isOutside(key) })
	}
	why := ""
	switch {
	case m.Version == "":
		j.Verdict, j.Why = First, "first run"
	case m.Last != nil && !m.Last.Asked.IsZero():
		j.Verdict, why = Changed, fmt.Sprintf("%s asked at %s to run it again", cmp.Or(m.Last.AskedBy, "a user"), human.Stamp(m.Last.Asked))
	case m.Last != nil && !m.Last.OK() && j.Fingerprint != m.Last.Fingerprint && len(m.Last.Ids) > 0:
		j.Verdict, why = Changed, differ(differing(ids, m.Last.Ids), fmt.Sprintf("the last attempt (%s), which %s", human.ID(m.Last.Version), m.Last.verb()))
	case m.Last != nil && !m.Last.OK():
		j.Verdict, j.Why = Changed, fmt.Sprintf("the last attempt %s: changed until a run succeeds", m.Last.verb())
		if !m.Last.Unwedged.IsZero() {
			j.Why = fmt.Sprintf("the last attempt %s, and was unwedged by a person at %s: changed until a run succeeds", m.Last.verb(), human.Stamp(m.Last.Unwedged))
		}
	case m.Version == version && len(outside) == 0:
		j.Verdict, why = Same, fmt.Sprintf("version %s is unchanged since the last success", human.ID(version))
	case m.Done == nil && m.Version == version:
		j.Verdict, why = Changed, fmt.Sprintf("the state of %s at the last success is unknown", called(outside[0]))
	case m.Done == nil:
		j.Verdict, why = Changed, fmt.Sprintf("version %s is not %s, and what that success watched is unknown", human.ID(version), human.ID(m.Version))
	case m.Version == version:
		j.Verdict, why = Changed, differ(outside, success(m.Done))
	case len(j.Changed) == 0:
		j.Verdict, why = Unaffected, fmt.Sprintf("no watch differs from the last success (%s)", human.ID(m.Done.Version))
	default:
		j.Verdict, why = Changed, differ(differing(ids, m.Done.Ids), success(m.Done))
	}
	if why != "" {
		j.Why = fmt.Sprintf("%s: %s", why, j.Verdict)
	}
	if it.Problem != "" {
		j.Why = CannotRun + it.Problem
	}
	return j
}

// isOutside tells whether a key is a watch of something outside of the item's own repository: another repository,
// nodes, or a service.
func isOutside(key string) bool {
	return strings.HasPrefix(key, sets.NodesKey) || strings.HasPrefix(key, service.KeyPrefix) || strings.Contains(key, ":") && !strings.HasPrefix(key, "./")
}

// differing lists the keys whose ids are not the same in both, or that are only in one: paths of the own repository,
// then what is outside of it, then script and work.yaml.
func differing(a, b map[string]string) []string {
	var keys []string
	for key, id := range a {
		if old, ok := b[key]; !ok || old != id {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	rank := func(key string) int {
		switch {
		case key == "." || strings.HasPrefix(key, "./"):
			return 0
		case isOutside(key):
			return 1
		}
		return 2
	}
	slices.SortFunc(keys, func(x, y string) int { return cmp.Or(rank(x)-rank(y), strings.Compare(x, y)) })
	return keys
}

func success(d *Done) string { return "the last success (" + human.ID(d.Version) + ")" }

// differ says which watches differ from an earlier run.
func differ(keys []string, from string) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = called(k)
	}
	what, verb := human.Some(names, 1), "differ"
	switch len(keys) {
	case 1:
		verb = "differs"
	case 2:
		what = human.List(names, "and")
	}
	return fmt.Sprintf("%s %s from %s", what, verb, from)
}

// called is a key of Ids as people call it.
func called(key string) string {
	switch key {
	case ".":
		return "the repository"
	case keyScript, keyYAML:
		return "its " + key
	}
	if strings.HasPrefix(key, sets.NodesKey) || strings.HasPrefix(key, service.KeyPrefix) {
		return "the set of " + key
	}
	if repo, ok := strings.CutSuffix(key, ":."); ok && !strings.HasPrefix(key, "./") {
		return "repository " + repo
	}
	return strings.TrimPrefix(key, "./")
}

// verb says how an attempt ended, after "the last attempt".
func (a Attempt) verb() string {
	if a.Finished.IsZero() {
		return "has no recorded end"
	}
	return cmp.Or(map[Reason]string{
		ReasonExit:        fmt.Sprintf("failed (exit %d)", a.Exit),
		ReasonDeadline:    "exceeded its deadline",
		ReasonWaiting:     "asked to wait (exit 75)",
		ReasonWedged:      "marked itself wedged",
		ReasonStart:       "could not start",
		ReasonShutdown:    "was interrupted by a shutdown",
		ReasonInterrupted: "was interrupted",
	}[a.Reason], fmt.Sprintf("failed (%s)", a.Reason))
}
