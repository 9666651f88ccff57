package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What others can get at is named, with what to do; what they can't is not.
func TestExposedFoldersAreNamed(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	d := &dataDir{path: filepath.Join(t.TempDir(), "d")}
	if err := os.MkdirAll(d.file("issuers"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"access.json": 0o600, "tokens.json": 0o640, "issuers/gz.json": 0o604, "issuers/sz.json": 0o600} {
		if err := os.WriteFile(d.file(name), nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d.file(name), mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	warned := func() string {
		log.Reset()
		d.warnExposed(logger, "tokens.json", "access.json", "issuers/*.json")
		return log.String()
	}
	if got := warned(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "chmod go= "+d.file("tokens.json")) || !strings.Contains(got, "gz.json") {
		t.Errorf("%s", got)
	}
	if err := os.Chmod(d.path, 0o750); err != nil {
		t.Fatal(err)
	}
	if got := warned(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "chmod go= "+d.path+`"`) || !strings.Contains(got, "-rwxr-x---") {
		t.Errorf("%s", got)
	}
}
