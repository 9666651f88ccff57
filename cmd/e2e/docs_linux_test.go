package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// places are where on the test's machine lies what the documents speak of: below the folder that commands run in.
var places = strings.NewReplacer(
	"/etc/systemd/system", "etc/systemd/system",
	"/etc/scanedge", "etc/scanedge",
	"/backup/today", "$PWD/backup/today",
	"/var/lib/scanedge", "scanedge",
	"/tmp/drill", "drill",
	"/run/secrets", "$PWD/secrets",
	"--origin http://127.0.0.1:7000", `--origin "$SCANEDGE_ORIGIN"`, // until its own origin runs, README has that of a fleet
	"bin/scanedge", "scanedge",
	"after=OFFSET", "after=0",
)

// notRun are the blocks that are not run, by document and the beginning of their first line, and why.
var notRun = map[string]string{
	"README.md: make run ":         "it is what CI runs: .ci/smoke and the tests themselves",
	"README.md:  push   authority": "a picture",
	"README.md: {\"subject\":":     "what a push holds, beside the same as CSV",
	"codes.md: secret = HKDF":      "formulas",
	"codes.md: signature = Ed":     "a formula",
	"codes.md: import {":           "JavaScript, which make test-js runs",
	"operating.md: [Service]":      "a part of a unit",
	"operating.md: readinessProbe": "a part of a pod",
}

// What the documents say to type is typed, in order, on a machine of its own for each document, and prints what they show.
// testdata/docs/machine.sh is that machine.
func TestFaultDocuments(t *testing.T) {
	unused := maps.Clone(notRun)
	for _, doc := range []struct{ path, begin string }{
		{"../../README.md", "fleet"}, {"../../docs/operating.md", ""}, {"../../docs/codes.md", "fleet"}, {"../../docs/security.md", "fleet; scanedge edge enrol gate-3 --issuers gz"},
	} {
		name := filepath.Base(doc.path)
		script, count := strings.Builder{}, 0
		fmt.Fprintf(&script, ". %s\n%s\n", absolute(t, "testdata/docs/machine.sh"), doc.begin)
		for _, block := range blocksOf(t, doc.path) {
			key := name + ": " + strings.SplitN(block, "\n", 2)[0]
			if i := slices.IndexFunc(slices.Collect(maps.Keys(notRun)), func(k string) bool { return strings.HasPrefix(key, k) }); i >= 0 {
				maps.DeleteFunc(unused, func(k, _ string) bool { return strings.HasPrefix(key, k) })
				continue
			}
			count++
			fmt.Fprintf(&script, "echo == %s\n%s\n", quote(key), typed(block))
		}
		t.Run(name, func(t *testing.T) { runOnMachine(t, script.String(), count) })
	}
	for key := range unused {
		t.Errorf("no document has the block %q", key)
	}
}

func runOnMachine(t *testing.T, script string, count int) {
	dir := t.TempDir()
	if err := os.Symlink(absolute(t, "../../deploy"), filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "BIN="+bin)
	out, err := cmd.CombinedOutput()
	if err != nil || count == 0 {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("%d blocks: %v\n%s\nwhat servers said:\n%s", count, err, tail(out), tail(log))
	}
	t.Logf("%d blocks", count)
}

var (
	fenced   = regexp.MustCompile("^( *)```")
	indented = regexp.MustCompile("^( {4,})[^ ]")
)

// blocksOf are a document's blocks of code, fenced or indented, without their indent.
func blocksOf(t *testing.T, path string) (blocks []string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i := 0; i < len(lines); i++ {
		var block []string
		if fenced.MatchString(lines[i]) {
			for i++; i < len(lines) && !fenced.MatchString(lines[i]); i++ {
				block = append(block, lines[i])
			}
		} else if m := indented.FindStringSubmatch(lines[i]); m != nil {
			for ; i < len(lines) && strings.HasPrefix(lines[i], m[1]); i++ {
				block = append(block, strings.TrimPrefix(lines[i], m[1]))
			}
		}
		if len(block) > 0 {
			blocks = append(blocks, strings.Join(block, "\n"))
		}
	}
	return blocks
}

// typed is a block as a shell takes it. One with prompts also says what its commands print.
func typed(block string) string {
	block = places.Replace(block)
	if !strings.HasPrefix(block, "$ ") {
		return block
	}
	var script strings.Builder
	for _, part := range strings.Split(block[2:], "\n$ ") {
		command, output, _ := strings.Cut(part, "\n")
		fmt.Fprintf(&script, "shows %s %s\n", quote(output), quote(command))
	}
	return script.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func absolute(t *testing.T, path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
