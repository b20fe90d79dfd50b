package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// Info is the content of nodeinfo/*.txt. Without a file a value is "".
type Info struct {
	InstanceID  string // instance-id.txt, as written; Identify decides
	Nodepart    string // nodepart.txt: the one role of the node
	Stacktype   string // stacktype.txt: the template it was made from
	Deployment  string // deployment.txt: the federation it belongs to
	InitGitRepo string // initgitrepo.txt: the repository that initialises it
	// Fields are all <field>.txt by field name, trimmed; those above too, and not those that the agent writes.
	Fields map[string]string
	// Ignored are the files that cannot be read and that decide nothing: why, each with its file.
	Ignored []string
}

// ReadInfo reads all nodeinfo/*.txt in dir; the folder and each file may be absent. The error joins all problems, each
// with its file and what to do. The Info has all good values even then.
func ReadInfo(dir string) (Info, error) {
	info := Info{Fields: map[string]string{}}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return info, nil
	}
	if err != nil {
		return info, fmt.Errorf("nodeinfo: %w", err)
	}
	paths := map[string]*string{
		"nodepart":    &info.Nodepart,
		"stacktype":   &info.Stacktype,
		"deployment":  &info.Deployment,
		"initgitrepo": &info.InitGitRepo,
	}
	var problems []error
	for _, e := range entries {
		field, ok := strings.CutSuffix(e.Name(), ".txt")
		if !ok || field == "" || strings.HasPrefix(field, ".") || slices.Contains(stateFields, field) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		value, err := readValue(path)
		if _, wrong := netip.ParseAddr(value); err == nil && field == "ip" && wrong != nil {
			err = fmt.Errorf("%s: %s is not an IP address: write the one under which others reach this node, or remove the file", path, human.Quote(value))
		}
		into, decides := paths[field]
		switch {
		case err == nil:
		case decides || field == "instance-id":
			problems = append(problems, err)
			continue
		default:
			info.Ignored = append(info.Ignored, err.Error())
			continue
		}
		if decides {
			if err := checkPathValue(value); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", path, err))
				continue
			}
			*into = value
		}
		if field == "instance-id" && value != "" {
			if err := ValidID(value); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w: write another id into it, or remove the file to have one chosen", path, err))
				continue
			}
			info.InstanceID = value
		}
		info.Fields[field] = value
	}
	return info, errors.Join(problems...)
}

func readValue(path string) (string, error) {
	value, err := files.ReadText(path, valueLimit)
	switch {
	case errors.Is(err, files.ErrTooLarge):
		return "", fmt.Errorf("%s: larger than %s: a file of nodeinfo contains one value: move it elsewhere", path, human.BinarySize(valueLimit))
	case err != nil:
		return "", fmt.Errorf("%s: cannot be read: %w: make it a readable file, or remove it", path, files.Cause(err))
	}
	return value, nil
}

// checkPathValue takes the name of a folder: these values choose which scripts of a repository run.
func checkPathValue(v string) error {
	switch {
	case v == "":
		return errors.New("is empty: write one name into it, or remove the file")
	case !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) || strings.Contains(v, "/") ||
		v == "." || strings.Contains(v, "..") || len(v) > 255:
		return fmt.Errorf("%s is not the name of a folder: write one name on one line, without slashes and double dots", human.Quote(v))
	}
	return nil
}

// An id becomes a file name, a part of a ref and a label.
var (
	idForm   = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$`)
	notForID = regexp.MustCompile(`[^0-9A-Za-z._-]`)
)

// ValidID says whether an instance id is valid, and what the rules are. Git accepts neither ".." nor .lock or a dot at
// the end of a ref.
func ValidID(id string) error {
	if idForm.MatchString(id) && !strings.Contains(id, "..") && !strings.HasSuffix(id, ".lock") && !strings.HasSuffix(id, ".") {
		return nil
	}
	return fmt.Errorf("%s is not a valid id: use at most 63 letters, digits, dots, underscores and dashes, begin with a letter or "+
		"digit, and avoid double dots and .lock or a dot at the end", human.Quote(id))
}
