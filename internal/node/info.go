package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	// Fields are all <field>.txt by field name, trimmed; those above too.
	Fields map[string]string
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
		if !ok || field == "" || strings.HasPrefix(field, ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		value, err := readValue(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if into, ok := paths[field]; ok {
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
	data, err := files.ReadSmall(path, valueLimit)
	switch {
	case errors.Is(err, files.ErrTooLarge):
		return "", fmt.Errorf("%s: larger than %s: a file of nodeinfo contains one value: move it elsewhere", path, human.BinarySize(valueLimit))
	case err != nil:
		return "", fmt.Errorf("%s: cannot be read: %w: make it a readable file, or remove it", path, cause(err))
	}
	return trim(string(data)), nil
}

// trim also removes the byte order mark that some editors write.
func trim(s string) string { return strings.TrimSpace(strings.TrimPrefix(s, "\ufeff")) }

// cause is a file error without the path, which the message names already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkPathValue takes the name of a folder: these values choose which scripts of a repository run.
func checkPathValue(v string) error {
	var what string
	switch {
	case v == "":
		return errors.New("is empty: write one name into it, or remove the file")
	case !utf8.ValidString(v):
		what = "is not UTF-8"
	case strings.ContainsFunc(v, unicode.IsControl):
		what = "contains a line break or another control character"
	case strings.Contains(v, "/"):
		what = "contains a slash"
	case v == "." || strings.Contains(v, ".."):
		what = "is not a plain name because of its dots"
	case len(v) > 255:
		what = "is longer than 255 bytes"
	default:
		return nil
	}
	return fmt.Errorf("%s %s: it names a folder, write one plain name into the file", human.Quote(v), what)
}

// maxID is the longest id, which becomes a file name, a part of a ref and a label.
const maxID = 63

// ValidID says what is wrong with an instance id. An id has 1 to 63 letters, digits, dots, underscores and dashes,
// begins with a letter or digit, and contains no two dots in a row nor ends in .lock or a dot, which git does not
// accept in a ref.
func ValidID(id string) error {
	switch {
	case id == "":
		return errors.New("the id is empty")
	case len(id) > maxID:
		return fmt.Errorf("id %s is longer than %d characters", human.Quote(id), maxID)
	case !alphanumeric(rune(id[0])):
		return fmt.Errorf("id %s does not begin with a letter or digit", human.Quote(id))
	case strings.ContainsFunc(id, func(r rune) bool { return !idRune(r) }):
		return fmt.Errorf("id %s contains characters other than letters, digits, dot, underscore and dash", human.Quote(id))
	case strings.Contains(id, ".."):
		return fmt.Errorf("id %s contains two dots in a row", human.Quote(id))
	case strings.HasSuffix(id, ".lock") || strings.HasSuffix(id, "."):
		return fmt.Errorf("id %s ends in .lock or a dot, which git does not accept", human.Quote(id))
	}
	return nil
}

func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func idRune(r rune) bool { return alphanumeric(r) || r == '.' || r == '_' || r == '-' }
