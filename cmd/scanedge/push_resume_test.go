package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func zstandard(content string) string {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(z, content)
	_ = z.Close()
	return b.String()
}

// session runs push commands against an origin, with a state of their own, and keeps what they print.
type session struct {
	*keyedOrigin
	state  string
	out    bytes.Buffer
	notice bytes.Buffer // on stderr, but for the error
}

func newSession(t *testing.T, fate func() fate) *session {
	return &session{keyedOrigin: newKeyedOrigin(t, fate), state: filepath.Join(t.TempDir(), "state")}
}

// push is one process: its fate may end it.
func (s *session) push(t *testing.T, stdin io.Reader, file string, flags ...string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.fateMu.Lock()
	s.kill = cancel
	s.fateMu.Unlock()
	s.out.Reset()
	s.notice.Reset()
	root := newRoot()
	args := []string{"push", "--origin", s.url, "--token", "token", "--retry", "0", "--state", s.state, "demo-a", file}
	root.SetArgs(append(args, flags...))
	root.SetIn(stdin)
	root.SetOut(&s.out)
	root.SetErr(&s.notice)
	return root.ExecuteContext(ctx)
}

// states are the files in the state's folder.
func (s *session) states(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.state, "*"))
	hidden, herr := filepath.Glob(filepath.Join(s.state, ".*"))
	if err := errors.Join(err, herr); err != nil {
		t.Fatal(err)
	}
	return append(all, hidden...)
}

// inTurn deals out fates in turn, and then all is well.
func inTurn(all ...fate) func() fate {
	n := 0
	return func() fate {
		if n++; n > len(all) {
			return well
		}
		return all[n-1]
	}
}

// randomFile makes a file of up to 40 lines, and returns its name, its content and the lines of it that are deltas.
func randomFile(rnd *rand.Rand) (name, content string, deltas []string) {
	var body strings.Builder
	csv := rnd.IntN(2) == 0
	blank := func() {
		for rnd.IntN(3) == 0 {
			body.WriteString([]string{"\n", " \r\n"}[rnd.IntN(2)])
		}
	}
	name = "x.ndjson"
	blank()
	if csv {
		name = "x.csv"
		body.WriteString(csvHeader)
	}
	for i := range rnd.IntN(40) {
		blank()
		line := fmt.Sprintf("d%d,%s\n", i, strings.Repeat("x", rnd.IntN(30)))
		if !csv {
			line = fmt.Sprintf(`{"subject":"d%d%s"}`, i, strings.Repeat("x", rnd.IntN(30))) + "\r\n"
		}
		deltas = append(deltas, line)
		body.WriteString(line)
	}
	content = body.String()
	if rnd.IntN(2) == 0 {
		content = "\ufeff" + content
	}
	switch rnd.IntN(3) {
	case 0:
		content = zipped(content)
	case 1:
		content = zstandard(content)
	}
	return name, content, deltas
}

// TestPushedOnceWhateverBreaks pushes random files while connections break, origins refuse and pushers are killed, at random
// places; sometimes the state is put back to an earlier moment, as when a pusher is killed before it could save it. In the end
// the origin has each line once, in order.
func TestPushedOnceWhateverBreaks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for trial := range 40 {
		shorten(t, 1+rnd.IntN(200), 1+rnd.IntN(6))
		name, content, want := randomFile(rnd)
		file := write(t, name, content)
		left, kinds := rnd.IntN(12), fates
		flags := []string{"--json"}
		if rnd.IntN(2) == 0 {
			flags = append(flags, "--if-match", "0")
		}
		if rnd.IntN(4) == 0 {
			left = min(left, 4) // pauses take their time
			flags = append(flags, "--retry", "1m")
		}
		var earlier [][]byte
		s := newSession(t, nil)
		s.fate = func() fate {
			for _, path := range s.states(t) {
				if b, err := os.ReadFile(path); err == nil && !strings.HasPrefix(filepath.Base(path), ".") {
					earlier = append(earlier, b)
				}
			}
			if left == 0 || rnd.IntN(3) > 0 {
				return well
			}
			left--
			return fate(rnd.IntN(int(kinds)))
		}
		processes := 1
		for err := s.push(t, nil, file, flags...); err != nil; err = s.push(t, nil, file, flags...) {
			if processes++; processes > 50 {
				t.Fatalf("trial %d: no end of it: %v", trial, err)
			}
			s.fateMu.Lock()
			switch kept := s.states(t); {
			case len(kept) == 0: // nothing was pushed: the next one is another run
				earlier = nil
			case rnd.IntN(3) == 0:
				if err := os.WriteFile(kept[0], earlier[rnd.IntN(len(earlier))], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.fateMu.Unlock()
		}
		var got struct{ Count int }
		if err := json.Unmarshal(s.out.Bytes(), &got); err != nil || got.Count != len(want) {
			t.Errorf("trial %d: says %s, %v; %d deltas", trial, s.out.Bytes(), err, len(want))
		}
		if lines, _, _ := s.seen(); !slices.Equal(lines, want) {
			t.Fatalf("trial %d, %d processes, %v: applied is\n%q, want\n%q", trial, processes, flags, lines, want)
		}
		if kept := s.states(t); len(kept) != 0 {
			t.Errorf("trial %d: left behind %v", trial, kept)
		}
	}
}

// tenRows is a CSV of ten rows, to be cut into pieces of three.
func tenRows(t *testing.T) (file string, want []string) {
	shorten(t, 1<<20, 3)
	want = rows(10)
	return write(t, "x.csv", csvHeader+strings.Join(want, "")), want
}

// TestPushGoesOn: what is acknowledged is not sent again, what was under way is asked for, and both commands say where they are.
func TestPushGoesOn(t *testing.T) {
	for f, c := range map[fate]struct {
		posts, asked int
		says         string
	}{
		hangUp:     {4, 1, "Lines 5 to 7 may or may not be pushed. "},
		loseAnswer: {4, 1, "Lines 5 to 7 may or may not be pushed. "},
		deny:       {4, 1, "Lines 5 to 7 may or may not be pushed. "},
		refuse:     {4, 1, ""},
		full:       {4, 1, ""},
	} {
		file, want := tenRows(t)
		s := newSession(t, inTurn(well, f))
		err := s.push(t, nil, file)
		wantExit(t, err, exitFailure,
			"\nPushed is all before line 5: 3 deltas, offset 2. "+c.says+"The same command goes on from line 5.")
		if s.notice.Len() > 0 || s.out.Len() > 0 {
			t.Errorf("says %q, %q", s.out.String(), s.notice.String())
		}
		err = s.push(t, nil, file, "--json")
		said := `,"resumed":true,"resumed_line":5}` + "\n"
		if err != nil || s.notice.String() != "resumed at line 5\n" || !strings.HasSuffix(s.out.String(), said) ||
			!strings.HasPrefix(s.out.String(), `{"issuer":"demo-a","count":10,"pushes":4,"offset":8,"seconds":`) {
			t.Errorf("fate %d: says %q, %q, %v", f, s.out.String(), s.notice.String(), err)
		}
		lines, posts, asked := s.seen()
		if !slices.Equal(lines, want) || posts != c.posts || asked < 1 || asked > 2 {
			t.Errorf("fate %d: %d posts, asked %d times, applied %q", f, posts, asked, lines)
		}
		if err := s.push(t, nil, file); err != nil || s.notice.Len() > 0 {
			t.Errorf("a finished push is gone on with: %q, %v", s.notice.String(), err)
		}
	}
}

// TestPushWaits: within --retry nobody has to do anything, and is told once.
func TestPushWaits(t *testing.T) {
	file, want := tenRows(t)
	s := newSession(t, inTurn(well, hangUp, deny, full, proxy, well, loseAnswer))
	if err := s.push(t, nil, file, "--retry", "1m"); err != nil || !slices.Equal(s.lines, want) {
		t.Errorf("applied %q, %v", s.lines, err)
	}
	if got := strings.Count(s.notice.String(), "waiting up to 1m0s for the origin: push to demo-a at http://"); got != 2 {
		t.Errorf("two outages, but says %q", s.notice.String())
	}
	in := newSession(t, inTurn(hangUp, loseAnswer))
	if err := in.push(t, strings.NewReader(csvHeader+strings.Join(want, "")), "-", "--retry=1m"); err != nil || !slices.Equal(in.lines, want) {
		t.Errorf("standard input: applied %q, %v", in.lines, err)
	}
	if kept := in.states(t); kept != nil {
		t.Errorf("standard input leaves %v", kept)
	}
}

// TestWhatIsUnsureStaysUnsure: the first attempt may have been applied, so that the last one was not even sent says nothing.
func TestWhatIsUnsureStaysUnsure(t *testing.T) {
	file, _ := tenRows(t)
	n, back := 0, false
	s := newSession(t, func() fate {
		if n++; n == 1 {
			return loseAnswer
		} else if back {
			return well
		}
		return refuse
	})
	wantExit(t, s.push(t, nil, file, "--retry", "300ms"), exitFailure,
		"\nLines 2 to 4 may or may not be pushed. The same command goes on from line 1.")
	wantExit(t, s.push(t, nil, file), exitFailure, "not-ready", "\nLines 2 to 4 may or may not be pushed.")
	back = true
	err := s.push(t, nil, file, "--token", "wrong")
	wantExit(t, err, exitFailure, "no-token", "\nLines 2 to 4 may or may not be pushed.")
	if err := s.push(t, nil, file); err != nil || len(s.lines) != 10 {
		t.Errorf("%d lines, %v", len(s.lines), err)
	}
}

// cutOff is a session whose push was cut after its first piece of tenRows.
func cutOff(t *testing.T, flags ...string) (s *session, file string) {
	t.Helper()
	file, _ = tenRows(t)
	s = newSession(t, inTurn(well, kill))
	wantExit(t, s.push(t, nil, file, flags...), exitFailure, "interrupted\nPushed is all before line 5")
	if kept := s.states(t); len(kept) != 1 {
		t.Fatalf("state is %v", kept)
	}
	return s, file
}

// TestPushBeginsAnew whenever it is not sure to go on with the same file in the same pieces; and it says why.
func TestPushBeginsAnew(t *testing.T) {
	change := func(from, to string) func(*testing.T, *session, string) {
		return func(t *testing.T, s *session, _ string) {
			path := s.states(t)[0]
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, bytes.Replace(b, []byte(from), []byte(to), 1), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	saved := func(ago time.Duration) func(*testing.T, *session, string) {
		return func(t *testing.T, s *session, _ string) {
			f := &stateFile{s.states(t)[0], func() time.Time { return time.Now().Add(-ago) }}
			old, err := f.load()
			if err == nil {
				err = f.save(old.pushRun)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	rewrite := func(content string, at time.Time) func(*testing.T, *session, string) {
		return func(t *testing.T, _ *session, file string) {
			if err := errors.Join(os.WriteFile(file, []byte(content), 0o600), os.Chtimes(file, at, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	same := csvHeader + strings.Join(rows(10), "")
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, s *session, file string)
		says      string
		flags     []string
	}{
		"longer":        {rewrite(same+"e,red\n", time.Now()), "the file has changed since", nil},
		"touched":       {rewrite(same, time.Now().Add(time.Second)), "the file has changed since", nil},
		"too old":       {saved(25 * time.Hour), "it was cut 25h0m0s ago, and an origin knows pushes for 24h0m0s", nil},
		"of the future": {saved(-25 * time.Hour), "it was cut 25h0m0s ago", nil},
		"other pieces":  {func(*testing.T, *session, string) { pieceLimits.Lines++ }, "it was cut into other pieces", nil},
		"other format":  {nil, "it was cut into other pieces", []string{"--format", "ndjson"}},
		"version":       {change(`"version": 1`, `"version": 2`), "is of version 2, and this scanedge reads 1", nil},
		"no version":    {change(`"version"`, `"virgin"`), "is of version 0", nil},
		"cut short":     {change("}", ""), "is not whole: unexpected end of JSON input", nil},
		"no JSON":       {change("{", "?"), "is not whole: invalid character", nil},
		"wrong type":    {change(`"pieces": 1`, `"pieces": "1"`), "is not whole: json: cannot unmarshal", nil},
		"changed":       {change(`"pieces": 1`, `"pieces": 2`), "is not whole: its sum is wrong", nil},
		"restart":       {nil, "", []string{"--restart"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, file := cutOff(t)
			if c.meanwhile != nil {
				c.meanwhile(t, s, file)
			}
			before := len(s.lines)
			err := s.push(t, nil, file, c.flags...)
			if err != nil || len(s.lines)-before < 10 {
				t.Errorf("%d lines are pushed, %v", len(s.lines)-before, err)
			}
			got := s.notice.String()
			if c.says == "" && got != "" || !strings.Contains(got, c.says) || strings.Contains(got, "resumed") ||
				c.says != "" && !strings.HasSuffix(got, "; pushing from the start\n") {
				t.Errorf("says %q", got)
			}
			if kept := s.states(t); len(kept) != 0 {
				t.Errorf("left behind %v", kept)
			}
		})
	}
}

// TestPushGoesOnWhereItWas: of a plain file what is pushed is not read again, of a compressed one it is not sent again.
func TestPushGoesOnWhereItWas(t *testing.T) {
	shorten(t, 1<<20, 1000)
	const rowBytes, size = len("d000000001,red\r\n"), len(csvHeader) + 20_000*len("d000000001,red\r\n")
	file, err := os.Open(write(t, "x.csv", csvHeader+strings.Join(rows(20_000), "")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	in := &countingReader{in: &input{ReadCloser: file, file: file}}
	run := pushRun{pushJob: pushJob{Format: csvFormat}, Pieces: 19, Next: 19_002, Position: int64(len(csvHeader) + 19_000*rowBytes)}
	s, err := openSplitter(in, run)
	if err != nil || in.n != run.Position {
		t.Fatalf("%d bytes are behind, %v", in.n, err)
	}
	p, err := s.Next()
	if err != nil || p.first != 19_002 || p.next != 20_002 || p.end != int64(size) || in.n != int64(size) ||
		string(p.body) != csvHeader+strings.Join(rows(20_000)[19_000:], "") {
		t.Errorf("a piece of lines %d to %d up to byte %d, %d are behind, %v", p.first, p.next, p.end, in.n, err)
	}
	run.Position = int64(size) + 1
	zip := strings.NewReader(zipped(csvHeader + strings.Join(rows(20_000), "")))
	_, err = openSplitter(&countingReader{in: zip}, run)
	if err == nil || err == io.EOF || !strings.Contains(err.Error(), "finding line 19002 again: ") {
		t.Errorf("a file that ends before its place: %v", err)
	}
}

// TestPushProcess is no test but the process that TestPushKilled kills: scanedge with the arguments behind --.
func TestPushProcess(*testing.T) {
	if os.Getenv(asScanedge) != "" {
		pieceLimits.Lines = 50
		os.Exit(run(os.Args[slices.Index(os.Args, "--")+1:]))
	}
}

const asScanedge = "TEST_AS_SCANEDGE"

// TestPushKilled kills real processes, with SIGKILL, at random requests. All the pieces that its pushes may send before
// they are killed are fewer than the file's: one that came to the end would never be killed.
func TestPushKilled(t *testing.T) {
	const kills, wellAtMost = 8, 20
	want := rows(50 * kills * (wellAtMost + 2))
	file := write(t, "x.csv", csvHeader+strings.Join(want, ""))
	s := newSession(t, nil)
	push := func() (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPushProcess$", "--", "push", "--origin", s.url, "--token", "token",
			"--state", s.state, "demo-a", file)
		cmd.Env = append(os.Environ(), asScanedge+"=1")
		said := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, said
	}
	for n := range kills {
		died, left := make(chan struct{}), rand.IntN(wellAtMost+1)
		cmd, said := push()
		s.fateMu.Lock()
		s.kill = sync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			close(died)
		})
		s.fate = func() fate {
			if left--; left >= 0 {
				return well
			}
			return []fate{kill, killApplied, killMeanwhile}[n%3]
		}
		s.fateMu.Unlock()
		<-died
		if err := cmd.Wait(); err == nil {
			t.Fatalf("was not killed: %s", said)
		}
	}
	s.fateMu.Lock()
	s.fate = nil
	s.fateMu.Unlock()
	cmd, said := push()
	err := cmd.Wait()
	lines, _, _ := s.seen()
	if err != nil || !slices.Equal(lines, want) || !strings.Contains(said.String(), "resumed at line ") {
		t.Errorf("%d lines of %d, says %s, %v", len(lines), len(want), said, err)
	}
	if kept := s.states(t); len(kept) != 0 {
		t.Errorf("left behind %v", kept)
	}
}

func TestPushGoesOnWithinADay(t *testing.T) {
	s, file := cutOff(t)
	f := &stateFile{s.states(t)[0], func() time.Time { return time.Now().Add(time.Minute - keysLive) }}
	old, err := f.load()
	if err == nil {
		err = f.save(old.pushRun)
	}
	if err == nil {
		err = s.push(t, nil, file)
	}
	if err != nil || s.notice.String() != "resumed at line 5\n" || len(s.lines) != 10 {
		t.Errorf("%d lines, %q, %v", len(s.lines), s.notice.String(), err)
	}
}

// TestStateIsPrivate: folder and file are the user's alone, and stand where the desktop's rules say.
func TestStateIsPrivate(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for xdg, want := range map[string]string{
		filepath.Join(home, "xdg"): "xdg/scanedge/push", "": ".local/state/scanedge/push", "relative": ".local/state/scanedge/push",
	} {
		t.Setenv("XDG_STATE_HOME", xdg)
		file, _ := tenRows(t)
		s := newSession(t, inTurn(well, kill))
		s.state = ""
		wantExit(t, s.push(t, nil, file), exitFailure, "interrupted")
		s.state = filepath.Join(home, want)
		kept := s.states(t)
		if len(kept) != 1 {
			t.Fatalf("state is %v", kept)
		}
		for path, mode := range map[string]os.FileMode{s.state: 0o700 | os.ModeDir, kept[0]: 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode() != mode {
				t.Errorf("%s is %v, %v", path, info.Mode(), err)
			}
		}
		if err := s.push(t, nil, file, "--state", s.state); err != nil || s.notice.String() != "resumed at line 5\n" {
			t.Errorf("%q, %v", s.notice.String(), err)
		}
	}
}

// TestNoFolderForTheState: who asks for a folder gets it or an error; who does not can push all the same.
func TestNoFolderForTheState(t *testing.T) {
	file, want := tenRows(t)
	s := newSession(t, nil)
	s.state = filepath.Join(file, "below-a-file")
	wantExit(t, s.push(t, nil, file), exitFailure, "nothing was pushed: making the folder of --state: mkdir "+file)
	t.Setenv("XDG_STATE_HOME", s.state)
	err := s.push(t, nil, file, "--state", "")
	if err != nil || !slices.Equal(s.lines, want) ||
		strings.Count(s.notice.String(), "if this push is cut it can't be gone on with: mkdir ") != 1 {
		t.Errorf("%d lines, %q, %v", len(s.lines), s.notice.String(), err)
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	gone := newSession(t, func() fate {
		_ = os.RemoveAll(os.Getenv("XDG_STATE_HOME"))
		return well
	})
	err = gone.push(t, nil, file, "--state", "")
	if err != nil || len(gone.lines) != 10 ||
		strings.Count(gone.notice.String(), "if this push is cut it may not be gone on with: ") != 1 {
		t.Errorf("%d lines, %q, %v", len(gone.lines), gone.notice.String(), err)
	}
}

// TestARefusedPushLeavesNothing: there is nothing to go on with.
func TestARefusedPushLeavesNothing(t *testing.T) {
	file, _ := tenRows(t)
	s := newSession(t, nil)
	wantExit(t, s.push(t, nil, file, "--token", "wrong"), exitFailure, "no-token", "\nNothing was pushed.")
	wantExit(t, s.push(t, nil, file, "--note", "a\nb"), exitUsage, "--note: the note holds a control character")
	wantExit(t, s.push(t, nil, file, "--retry", "-1s"), exitUsage, "--retry is -1s; it must be from 0 to 24h0m0s")
	wantExit(t, s.push(t, nil, file, "--retry", "25h"), exitUsage, "--retry is 25h0m0s")
	wantExit(t, s.push(t, nil, file, "--if-match", "-1"), exitUsage, "--if-match")
	bad := write(t, "bad.csv", csvHeader+"BAD\n")
	wantExit(t, s.push(t, nil, bad), exitFailure, "bad-lines")
	if kept := s.states(t); len(kept) != 0 || len(s.lines) != 0 {
		t.Errorf("left behind %v, %d lines", kept, len(s.lines))
	}
}

func TestPushNote(t *testing.T) {
	file, _ := tenRows(t)
	s := newSession(t, nil)
	const note = "Rückruf 100 % + 穗康"
	if err := s.push(t, nil, file, "--note", note); err != nil || !slices.Equal(s.notes, []string{note, note, note, note}) {
		t.Errorf("notes are %q, %v", s.notes, err)
	}
}

// TestPushIfMatch: nobody comes in between two pieces, and who did is gone past on the user's word only.
func TestPushIfMatch(t *testing.T) {
	file, want := tenRows(t)
	s := newSession(t, nil)
	s.others()
	wantExit(t, s.push(t, nil, file, "--if-match", "0"), exitFailure,
		"offset-moved: the last batch is at offset 2\nNothing was pushed. Somebody else pushed to demo-a since offset 0. "+
			"Look at what it was; --if-match with the offset that it is at now then goes on from line 1.")
	n := 0
	s.fate = func() fate {
		if n++; n == 3 {
			s.others()
		}
		return well
	}
	moved := []string{"offset-moved: the last batch is at offset 8\nPushed is all before line 8: 6 deltas, offset 6. ",
		"since offset 6", "then goes on from line 8."}
	wantExit(t, s.push(t, nil, file, "--if-match", "2"), exitFailure, moved...)
	wantExit(t, s.push(t, nil, file, "--if-match", "2"), exitFailure, moved...) // the same command means the same
	wantExit(t, s.push(t, nil, file, "--if-match", "6"), exitFailure, moved...)
	if err := s.push(t, nil, file, "--if-match", "8"); err != nil || !slices.Equal(s.lines, want) {
		t.Errorf("applied %q, %v", s.lines, err)
	}
	in := newSession(t, nil)
	in.others()
	wantExit(t, in.push(t, strings.NewReader("{}"), "-", "--if-match", "0"), exitFailure,
		"Nothing was pushed. ", "offset that it is at now pushes all the same.")
}

// TestKeyReused: a file that changed where nobody looked is not pushed half.
func TestKeyReused(t *testing.T) {
	shorten(t, 1<<20, 3)
	all := rows(20_000) // the middle is not in its ends
	file := write(t, "x.csv", csvHeader+strings.Join(all, ""))
	pieceLimits.Lines = 8_000
	s := newSession(t, inTurn(well, deny))
	wantExit(t, s.push(t, nil, file), exitFailure, "log-unavailable")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	all[12_000] = "e" + all[12_000][1:]
	err = os.WriteFile(file, []byte(csvHeader+strings.Join(all, "")), 0o600)
	if err := errors.Join(err, os.Chtimes(file, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	s.fate = inTurn(refuse) // the question, so that the push itself is sent
	wantExit(t, s.push(t, nil, file), exitFailure, "key-reused",
		"The file is not the one that this push began with", "With --restart it is pushed from its start.")
	s.lines = nil
	if err := s.push(t, nil, file, "--restart"); err != nil || !slices.Equal(s.lines, all) {
		t.Errorf("%d lines, %v", len(s.lines), err)
	}
}

func FuzzState(f *testing.F) {
	good := state{Version: stateVersion, Saved: time.Now().UTC(), pushRun: newRun(pushJob{Origin: "http://x", File: "/穗康"})}
	good.Sum = good.sum()
	b, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		if s.Version != stateVersion || s.Sum != s.sum() {
			t.Errorf("%q passes", b)
		}
	})
}

func TestParsedStateIsTheSavedOne(t *testing.T) {
	offset := uint64(1 << 63)
	want := pushRun{
		pushJob: pushJob{"http://o", "demo-a", "/f <&> 穗康", content{1, -2, "ends"}, csvFormat, limits{3, 4}},
		ID:      "RUN", IfMatch: &offset, Pieces: 5, Pushes: 4, Count: 6, Offset: 1<<64 - 1, Next: 7, Position: 8,
	}
	s := &stateFile{filepath.Join(t.TempDir(), "f"), time.Now}
	if err := s.save(want); err != nil {
		t.Fatal(err)
	}
	got, resumed, why := s.resume(want.pushJob)
	if !resumed || why != nil || got.key() != "RUN-6" || *got.IfMatch != offset {
		t.Fatalf("got %+v, %v", got, why)
	}
	got.IfMatch = want.IfMatch
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
