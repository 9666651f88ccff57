package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
)

// A folder that holds an earlier run's results holds only the new run's question afterwards, and what is not ours.
func TestBeginForgetsTheRunBefore(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{RunFile, SecondsFile, File, TextFile, JUnitFile, PageFile, "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := &Run{Mode: Rhythm, Seed: 7, Visits: 10, Targets: DefaultTargets, Environment: Here()}
	if err := Begin(dir, run); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "notes.txt" || filepath.Base(left[1]) != RunFile {
		t.Errorf("the folder holds %v (%v)", left, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, RunFile))
	if err != nil {
		t.Fatal(err)
	}
	var got Run
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(&got, run) {
		t.Errorf("%v, %s", err, b)
	}
}

func TestBeginSaysWhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if err := Begin(dir, &Run{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
}

// Every mode that there is says both what it shows and what it does not.
func TestModesSayWhatTheyShow(t *testing.T) {
	seen := map[string]bool{}
	for _, mode := range []string{Endurance, Rhythm, Slice} {
		r := &Report{}
		r.Conclude(&Run{Mode: mode})
		if r.Proves == "" || r.DoesNotProve == "" || seen[r.Proves] || !strings.Contains(r.text(), mode+" shows "+r.Proves) {
			t.Errorf("%s: %q, not %q", mode, r.Proves, r.DoesNotProve)
		}
		seen[r.Proves] = true
	}
}

func TestEnvironment(t *testing.T) {
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max open files            1024                 1048576              files     \n"
	if n := openFiles(limits); n != 1024 {
		t.Errorf("%d open files", n)
	}
	if got := field("processor\t: 0\nmodel name\t: Some CPU @ 2: fast\n", "model name"); got != "Some CPU @ 2: fast" {
		t.Errorf("model %q", got)
	}
	if n := number(field("MemTotal:       16384 kB\n", "MemTotal")); n != 16384 {
		t.Errorf("%d kB", n)
	}
	var e Environment
	e.Versions = map[string]string{}
	e.built(&debug.BuildInfo{
		Deps:     []*debug.Module{{Path: modules[0], Version: "v12.1"}, {Path: "example.org/other", Version: "v1"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	})
	if len(e.Versions) != 1 || e.Versions[modules[0]] != "v12.1" || e.Commit != "abc+changes" {
		t.Errorf("%+v", e)
	}
	if here := Here(); here.Processors < 1 || here.Versions["go"] == "" || len(here.CommandLine) == 0 {
		t.Errorf("%+v", here)
	}
}
