package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are those that tell people what to type.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	texts := map[string]string{}
	for _, path := range append(paths, "../../README.md") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(b)
	}
	return texts
}

var (
	command = regexp.MustCompile(`(?m)^(?:    | {7}|> )?(?:[A-Z_]+=\S+ )*(?:bin/)?scanedge ([a-z][^\n#|<>]*)`)
	word    = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
)

// What the documents say to type are verbs that there are, with flags and arguments that they take.
func TestCommandsOfTheDocumentsAreTaken(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			line := strings.TrimSpace(m[1])
			args := word.FindAllString(line, -1)
			for i, a := range args {
				args[i] = strings.Trim(a, `"'`)
			}
			cmd, rest, err := newRoot().Find(args)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil && cmd.Args != nil {
				err = cmd.Args(cmd, cmd.Flags().Args())
			}
			if err != nil || cmd.Name() == "scanedge" || cmd.HasSubCommands() && !cmd.Runnable() {
				t.Errorf("%s: scanedge %s: %v", path, line, err)
			}
			seen++
		}
	}
	if seen < 30 {
		t.Errorf("%d commands were found", seen)
	}
}

// Each alert has its page, and what alerts and dashboard look at is measured.
func TestAlertsHavePagesAndMeasures(t *testing.T) {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	rules, dashboard := read("../../deploy/prometheus/scanedge.rules.yml"), read("../../deploy/grafana/scanedge.json")
	pages := read("../../docs/operating.md")
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(pages, "\n### "+m[1]+"\n") {
			t.Errorf("docs/operating.md has no page %s", m[1])
		}
	}
	var source strings.Builder
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			source.WriteString(read(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	measures := regexp.MustCompile(`\bscanedge_[a-z_]+`).FindAllString(rules+dashboard, -1)
	if len(measures) < 20 {
		t.Errorf("%d measures were found", len(measures))
	}
	for _, name := range measures {
		if !regexp.MustCompile(`"` + strings.TrimSuffix(name, "_bucket") + `["{]`).MatchString(source.String()) {
			t.Errorf("nothing measures %s", name)
		}
	}
}
