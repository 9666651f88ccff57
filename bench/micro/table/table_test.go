package table

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVariable makes the test's own binary do a part, as Config.Child starts it.
const childVariable = "SCANEDGE_TABLE_TEST_PART"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := RunPart(os.Stdin, os.Stdout, func() { os.Exit(1) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func testBinary(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

func small(t *testing.T) Config {
	return Config{Subjects: 100_000, Dir: t.TempDir(), Child: testBinary, Rounds: 2, Slice: time.Millisecond}
}

// TestRun measures every part at a small size. What the figures are does not matter, that they are there does.
func TestRun(t *testing.T) {
	c := small(t)
	steps, done := map[string]bool{}, 0.0
	c.Progress = func(step string, now float64) {
		if now < done || now > 1 {
			t.Errorf("%s: progress went from %g to %g", step, done, now)
		}
		steps[step], done = true, now
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	names := promised
	if runtime.GOOS == "linux" {
		names = append(slices.Clone(names), promisedOfMemory...)
	}
	for _, name := range names {
		if v, ok := members[name].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v", name, members[name])
		}
	}
	if _, ok := members["allocations_per_lookup"].(float64); !ok {
		t.Errorf("allocations_per_lookup is %v", members["allocations_per_lookup"])
	}
	if r.Grown.Subjects != 100_000 || len(r.Goals) < 10 || len(r.Rounds[loopStream]) != 2 || r.Tails.Growing.Samples == 0 {
		t.Errorf("%s", text)
	}
	if len(steps) < 8 {
		t.Errorf("progress was of %v", steps)
	}
	if left, _ := os.ReadDir(c.Dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// Names that scripts read.
var (
	promised = []string{
		"subjects", "seconds", "chain_vs_chase", "stream_vs_lines", "batch_vs_lines", "lines_per_hit", "lines_per_miss",
		"stream_vs_fastcache", "stream_vs_map", "stream_vs_xsync", "puts_per_second", "single_puts_per_second", "inserts_per_second",
		"stream_beside_writer_vs_alone", "miss_ns", "keys_ns", "snapshot_bytes",
		"snapshot_read_gb_per_second", "snapshot_write_gb_per_second", "scrub_seconds",
	}
	promisedOfMemory = []string{"bytes_per_subject_loaded", "bytes_per_subject_growing_max"}
)

func TestRunEndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := small(t)
	c.Subjects = 50_000_000
	c.Progress = func(string, float64) { cancel() }
	if _, err := Run(ctx, c); !errors.Is(err, errInterrupted) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(c.Dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestRunSaysWhatFailed(t *testing.T) {
	shell := func(script string) func(ctx context.Context) *exec.Cmd {
		return func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "sh", "-c", script) }
	}
	for name, c := range map[string]struct {
		child func(ctx context.Context) *exec.Cmd
		want  string
	}{
		"exits":       {shell("echo out of luck >&2; exit 3"), "measuring grow: exit status 3: out of luck"},
		"silent":      {shell("read part"), "measuring grow: it ended without a result"},
		"nonsense":    {shell("read part; echo wat; exec sleep 600"), "measuring grow: reading what it found: "},
		"no result":   {shell(`read part; echo '{"result":[]}'`), "reading what grow found: "},
		"never reads": {shell("exit 0"), "measuring grow: it ended without a result"},
		"other":       {shell(`read part; echo '{"result":{"content_grown":{"subjects":1,"digest":"x"}}}'`), "the table that was written"},
	} {
		config := small(t)
		config.Child = c.child
		if _, err := Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	config := small(t)
	config.Dir = filepath.Join(config.Dir, "none")
	if _, err := Run(t.Context(), config); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRunPartSaysWhatItCanNotDo(t *testing.T) {
	for part, want := range map[string]string{"{": "reading which part: ", `{"Name":"wat"}`: `no part "wat"`} {
		abandoned := make(chan struct{}, 1)
		err := RunPart(strings.NewReader(part), io.Discard, func() { abandoned <- struct{}{} })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// TestRunPartNoticesThatNobodyWaits: it is told by the end of its input.
func TestRunPartNoticesThatNobodyWaits(t *testing.T) {
	abandoned := make(chan struct{})
	if err := RunPart(strings.NewReader(`{"Name":"wat"}`), io.Discard, func() { close(abandoned) }); err == nil {
		t.Error("it did what it can't")
	}
	<-abandoned
}

// TestPartsMeasureOneByOne: parts of a stage prepare beside each other; none measures before all are prepared, nor two at once.
func TestPartsMeasureOneByOne(t *testing.T) {
	const script = `read part; echo $$ > %[1]s/prepared.$$; echo '{"ready":true}'; read turn
		[ $(ls %[1]s/prepared.* | wc -l) = 3 ] || { echo not all are prepared >&2; exit 1; }
		mkdir %[1]s/measuring || exit 1; sleep 0.05; rmdir %[1]s/measuring; echo '{"result":{}}'`
	c, dir := small(t), t.TempDir()
	c.Child = func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(script, dir))
	}
	found, err := c.runTogether(t.Context(), make([]Part, 3), func(string, float64) {})
	if err != nil || len(found) != 3 || string(found[2]) != "{}" {
		t.Errorf("%q, %v", found, err)
	}
	c.Child = func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-c", "mkdir "+dir+"/first && exit 7; "+fmt.Sprintf(script, dir))
	}
	if _, err := c.runTogether(t.Context(), make([]Part, 3), func(string, float64) {}); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("one fails before it is prepared: %v", err)
	}
}

func TestRivalsAreSkippedWhereTheyDoNotFit(t *testing.T) {
	r := newResult(rivalMost + 1)
	if stages := r.stages(); len(stages) != 2 || len(r.Skipped) != 3 || !strings.Contains(r.Skipped["map"], "up to 200 million") {
		t.Errorf("%v, %v", stages, r.Skipped)
	}
	r = newResult(1000)
	if stages := r.stages(); len(stages) != 3 || len(stages[2].names) != 3 || len(r.Skipped) != 0 || stages[2].end != 1 {
		t.Errorf("%v, %v", stages, r.Skipped)
	}
	free, known := memoryFree()
	if n := free / 100; known && n < rivalMost { // room for one at a time
		r = newResult(n)
		if stages := r.stages(); len(stages) != 5 || len(r.Skipped) != 0 {
			t.Errorf("%d subjects in %d bytes: %v, %v", n, free, stages, r.Skipped)
		}
	}
	if n := free / 50; known && n < rivalMost {
		if why := tooMuch(n, "map"); !strings.Contains(why, "GB are free") {
			t.Errorf("%d subjects in %d bytes: %q", n, free, why)
		}
	}
}
