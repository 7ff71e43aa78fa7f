package planted

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Mistake is a change of the source that breaks a rule.
type Mistake struct {
	Name string // of its archive, without the extension
	Rule string // the rule that it breaks, in its own words
	// Breaks are the names of those of Rules that it stands for.
	Breaks []string
	Seen   string // where it was made
	Test   Command
	// Edits are in the order of the archive.
	Edits []Edit
}

// Edit replaces one text of a file.
type Edit struct {
	File string // from the root of the module
	// Old is what is replaced, whole lines, and New what comes in its place.
	Old, New string
}

// Read parses an archive. Its comment is fields, each a name, a colon and text,
// and lines that go on with the one before, indented:
//
//	rule: what is broken, in words
//	breaks: name...
//	seen: where
//	test: ./package -run TestName [flag...]
//
// Its files are edits: "old path/of/file.go" and, after each, "new".
func Read(name string, data []byte) (*Mistake, error) {
	archive := txtar.Parse(data)
	m := &Mistake{Name: strings.TrimSuffix(path.Base(name), ".txtar")}
	fields, err := readFields(string(archive.Comment))
	if err != nil {
		return nil, err
	}
	m.Rule, m.Breaks, m.Seen = fields["rule"], strings.Fields(fields["breaks"]), fields["seen"]
	if m.Rule == "" || len(m.Breaks) == 0 || m.Seen == "" || len(fields) != 4 {
		return nil, errors.New("the comment wants a rule, which it breaks, where that was seen, and a test")
	}
	if m.Test, err = readCommand(fields["test"]); err != nil {
		return nil, err
	}
	files := archive.Files
	for ; len(files) >= 2; files = files[2:] {
		file, ok := strings.CutPrefix(files[0].Name, "old ")
		if !ok || files[1].Name != "new" || len(files[0].Data) == 0 {
			return nil, fmt.Errorf("%q and %q are not an edit", files[0].Name, files[1].Name)
		}
		m.Edits = append(m.Edits, Edit{file, string(files[0].Data), string(files[1].Data)})
	}
	if len(m.Edits) == 0 || len(files) != 0 {
		return nil, errors.New("the files are no pairs of old and new")
	}
	return m, nil
}

func readFields(comment string) (map[string]string, error) {
	fields := map[string]string{}
	last := ""
	for line := range strings.Lines(comment) {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(line, "  ") && last != "" {
			fields[last] += " " + text
			continue
		}
		name, value, ok := strings.Cut(text, ": ")
		if !ok || fields[name] != "" {
			return nil, fmt.Errorf("%q is no field", text)
		}
		fields[name], last = value, name
	}
	return fields, nil
}

// Apply returns the files of the tree that the mistake changes, by name, as it
// leaves them.
func (m *Mistake) Apply(tree fs.FS) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range m.Edits {
		text, ok := changed[e.File]
		if !ok {
			data, err := fs.ReadFile(tree, e.File)
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("%s: the old text occurs %d times, want once", e.File, n)
		}
		changed[e.File] = strings.Replace(text, e.Old, e.New, 1)
		if e.Old == e.New {
			return nil, fmt.Errorf("%s: the new text is the old one", e.File)
		}
	}
	for _, e := range m.Edits {
		if _, err := parser.ParseFile(token.NewFileSet(), e.File, changed[e.File], parser.SkipObjectResolution); err != nil {
			return nil, err
		}
	}
	return changed, nil
}
