package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(content string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, content)
	_ = z.Close()
	return b.String()
}

// rows makes n rows of a CSV without its header, 1 to n; those in bad are bad.
func rows(n int, bad ...int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("d%09d,red\r\n", i+1)
		if slices.Contains(bad, i+1) {
			lines[i] = "BAD," + lines[i]
		}
	}
	return lines
}

const csvHeader = "subject,status\r\n"

func TestPushKnowsTheFormat(t *testing.T) {
	csvRows := []string{`"a,{",red` + "\r\n", "b,green"}
	csv := csvHeader + strings.Join(csvRows, "")
	jsonRows := []string{` {"subject":"a"}` + "\n", `{"subject":"b"}` + "\n"}
	ndjson := "\n" + strings.Join(jsonRows, "")
	for _, c := range []struct {
		name, content, flag, want string
		rows                      []string
	}{
		{"x.csv", csv, "", scanedge.CSV, csvRows},
		{"X.CSV.GZ", csv, "", scanedge.CSV, csvRows},
		{"x.csv.zst", csv, "", scanedge.CSV, csvRows},
		{"x.ndjson.zst", ndjson, "", scanedge.NDJSON, jsonRows},
		{"X.CSV", ndjson, "", scanedge.CSV, jsonRows[1:]}, // the name says more than the content
		{"x.txt", csv, "", scanedge.CSV, csvRows},
		{"x.jsonl", ndjson, "", scanedge.NDJSON, jsonRows},
		{"x.json", ndjson, "", scanedge.NDJSON, jsonRows},
		{"x.ndjson.gz", ndjson, "", scanedge.NDJSON, jsonRows},
		{"x", ndjson, "", scanedge.NDJSON, jsonRows},
		{"x.csv", ndjson, "ndjson", scanedge.NDJSON, jsonRows},
		{"x.json", csv, "csv", scanedge.CSV, csvRows},
	} {
		skipped := "\x5f\x2a\x4d\x18\x01\x00\x00\x00x" // a zstd frame without content
		for _, content := range []string{
			c.content, "\ufeff" + c.content, zipped(c.content), zipped("\ufeff" + c.content),
			zstandard(c.content), zstandard("\ufeff" + c.content), skipped + zstandard(c.content) + skipped + zstandard(""),
		} {
			for _, stdin := range []bool{false, true} {
				o := newFakeOrigin(t)
				file, in := write(t, c.name, content), io.Reader(nil)
				if stdin {
					file, in = "-", strings.NewReader(content)
					if c.name != "x" && c.name != "x.txt" && c.flag == "" {
						continue // what the name says is not to be known
					}
				}
				out, err := o.push(t, in, file, "--format", c.flag)
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
					continue
				}
				count := regexp.QuoteMeta(many(len(c.rows), "delta"))
				want := regexp.MustCompile(`^pushed ` + count + ` to demo-a in 1 push, offset 10, \d+\.\d s \([\d,]+ deltas/s\)\n$`)
				if !want.MatchString(out) {
					t.Errorf("%s: says %q", c.name, out)
				}
				if !slices.Equal(o.lines, c.rows) || o.types[0] != c.want {
					t.Errorf("%s: pushed as %s %q", c.name, o.types[0], o.lines)
				}
			}
		}
	}
}

// TestPushInPieces pushes more than two pieces and finds every row, in order, none twice. While a push is under way, no more
// than the piece after it has been read.
func TestPushInPieces(t *testing.T) {
	const perPiece, rowBytes = pieceLines, len("d000000001,red\r\n")
	want := rows(2*perPiece + 5)
	in := &countingReader{in: strings.NewReader(csvHeader + strings.Join(want, ""))}
	var mu sync.Mutex
	counted := readerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return in.Read(b)
	})
	o := newFakeOrigin(t)
	o.onPush = func(n int) *scanedge.Problem {
		mu.Lock()
		defer mu.Unlock()
		if most := int64((n+1)*perPiece*rowBytes + 2*lineBytes); in.n > most {
			t.Errorf("while push %d is under way, %d bytes are read, more than %d", n, in.n, most)
		}
		return nil
	}
	out, err := o.push(t, counted, "-")
	if err != nil || !strings.HasPrefix(out, "pushed 400,005 deltas to demo-a in 3 pushes, offset 30, ") {
		t.Errorf("says %q, %v", out, err)
	}
	if !slices.Equal(o.lines, want) {
		t.Errorf("%d rows arrive, or not in order", len(o.lines))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestPushReadsAhead holds the first push back until the second piece has been read.
func TestPushReadsAhead(t *testing.T) {
	read := make(chan struct{})
	content := strings.NewReader(csvHeader + strings.Join(rows(pieceLines), ""))
	ahead := strings.NewReader(strings.Join(rows(pieceLines-1), ""))
	in := io.MultiReader(content, ahead, readerFunc(func([]byte) (int, error) {
		close(read)
		return 0, io.EOF
	}))
	o := newFakeOrigin(t)
	o.onPush = func(int) *scanedge.Problem {
		select {
		case <-read:
		case <-t.Context().Done():
		}
		return nil
	}
	if out, err := o.push(t, in, "-", "--json"); err != nil || o.pushes != 2 {
		t.Errorf("%d pushes: %s, %v", o.pushes, out, err)
	}
}

func TestPushJSON(t *testing.T) {
	o := newFakeOrigin(t)
	for content, want := range map[string]string{
		csvHeader + "a,red\n": `^{"issuer":"demo-a","count":1,"pushes":1,"offset":10,"seconds":[\d.e-]+}\n$`,
		"":                    `^{"issuer":"demo-a","count":0,"pushes":0,"offset":0,"seconds":[\d.e-]+}\n$`,
	} {
		out, err := o.push(t, strings.NewReader(content), "-", "--json")
		if err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("says %q, %v, want %s", out, err, want)
		}
	}
}

func TestNothingToPush(t *testing.T) {
	o := newFakeOrigin(t)
	for _, content := range []string{"", "\n \r\n", csvHeader, csvHeader + "\n\n", "subject,status", "\ufeff", zipped("")} {
		file := write(t, "x.csv", content)
		out, err := o.push(t, nil, file)
		if err != nil || out != "nothing to push: "+file+" holds no deltas\n" {
			t.Errorf("%q: says %q, %v", content, out, err)
		}
	}
	// A row without a header must not pass for a header without rows.
	_, err := o.push(t, strings.NewReader("d000000001,BAD"), "-")
	wantExit(t, err, exitFailure, "line 1: status: unknown\nNothing was pushed.")
	blanks := csvHeader + strings.Join(rows(1), "") + strings.Repeat("\n", 2*pieceLines)
	if out, err := o.push(t, nil, write(t, "x.csv", blanks)); err != nil || o.pushes != 1 {
		t.Errorf("blank lines behind the last row: %d pushes, %q, %v", o.pushes, out, err)
	}
}

// TestBadLinesOfAFile: an origin counts the lines of its piece; who mends the file counts the file's.
func TestBadLinesOfAFile(t *testing.T) {
	const first = 2 * pieceLines // behind two blank lines and the header, row n is line n+3
	content := "\n\n" + csvHeader + strings.Join(rows(first+100, first+1, first+7, first+8), "")
	content += strings.Repeat("x,red\n", pieceLines)
	o := newFakeOrigin(t)
	_, err := o.push(t, nil, write(t, "x.csv", content))
	wantExit(t, err, exitFailure, "bad-lines: 3 lines of /",
		"\n  line 400004: status: unknown\n  line 400010: status: unknown\n  and 1 more\n",
		"Pushed is all before line 400004: 400,000 deltas, offset 20. Pushing the whole file again is safe")
	if o.pushes != 2 || len(o.lines) != first {
		t.Errorf("%d pushes of %d rows", o.pushes, len(o.lines))
	}
	_, err = newFakeOrigin(t).push(t, strings.NewReader("{}\n{}\n{BAD}"), "-")
	wantExit(t, err, exitFailure, "bad-lines: 1 line of standard input can't be pushed:\n  line 3: status: unknown\nNothing was pushed.")
}

func TestUnreadableFiles(t *testing.T) {
	long := strings.Repeat("x", lineBytes+1)
	later := csvHeader + strings.Join(rows(pieceLines), "") + "b,red\n" + long
	whole := zipped(csvHeader + strings.Join(rows(1000), ""))
	packed := zstandard(csvHeader + strings.Join(rows(1000), ""))
	const short, wrong = "its gzip is cut short\nNothing was pushed.", "gzip: invalid checksum\nNothing was pushed."
	for name, c := range map[string]struct {
		content string
		pushes  int
		says    string
	}{
		"long line":       {csvHeader + "a,red\n" + long + "\n", 0, "line 3 is longer than 65,536 bytes\nNothing was pushed."},
		"long line later": {later, 1, "line 200003 is longer than 65,536 bytes\nPushed is all before line 200002: 200,000 deltas"},
		"gzip cut short":  {whole[:len(whole)/2], 0, short},
		"gzip's head":     {whole[:5], 0, short},
		"gzip's magic":    {whole[:2], 0, short},
		"gzip's sum":      {whole[:len(whole)-8] + "12345678", 0, wrong},
		"zstd cut short":  {packed[:len(packed)-10], 0, "its zstd is cut short\nNothing was pushed."},
		"zstd's magic":    {packed[:4], 0, "its zstd is cut short\nNothing was pushed."},
		"zstd's sum":      {packed[:len(packed)-4] + "1234", 0, "CRC check failed\nNothing was pushed."},
	} {
		o := newFakeOrigin(t)
		out, err := o.push(t, nil, write(t, "deltas.csv", c.content))
		wantExit(t, err, exitFailure, "reading /", "deltas.csv: "+c.says)
		if out != "" || o.pushes != c.pushes {
			t.Errorf("%s: %d pushes, says %q", name, o.pushes, out)
		}
	}
	_, err := newFakeOrigin(t).push(t, nil, "/no/such/file")
	wantExit(t, err, exitFailure, "nothing was pushed: open /no/such/file: no such file")
}

// TestPushThatFails tells what is sure from what is not.
func TestPushThatFails(t *testing.T) {
	content := csvHeader + strings.Join(rows(pieceLines+10), "")
	for word, unsure := range map[scanedge.ProblemType]string{
		scanedge.NoToken:        "",
		scanedge.LogUnavailable: "Lines 200002 to 200011 may or may not be pushed. ",
		"abort":                 "Lines 200002 to 200011 may or may not be pushed. ",
	} {
		o := newFakeOrigin(t)
		o.onPush = func(n int) *scanedge.Problem {
			switch {
			case n == 1:
				return nil
			case word == "abort":
				panic(http.ErrAbortHandler)
			}
			return scanedge.NewProblem(word, "")
		}
		_, err := o.push(t, nil, write(t, "x.csv", content))
		wantExit(t, err, exitFailure, "push to demo-a at "+o.url,
			"\nPushed is all before line 200002: 200,000 deltas, offset 10. "+unsure+"The same command goes on from line 200002.")
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	_, err := (&fakeOrigin{url: gone.URL}).push(t, nil, write(t, "x.csv", content))
	wantExit(t, err, exitFailure, "connection refused\nNothing was pushed.")
}

func TestPushInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	go func() {
		_, _ = io.WriteString(typing, csvHeader) // and then nothing: the read hangs
		cancel()
	}()
	_, err := verb(ctx, in, "push", "--origin", "http://127.0.0.1:1", "--token", "x", "demo-a", "-")
	wantExit(t, err, exitFailure, "interrupted\nNothing was pushed.")
}

func TestPushUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		says string
		args []string
	}{
		{"which origin, with which token? Give --origin URL and --token TOKEN", []string{"demo-a", "x"}},
		{"which origin", []string{"--origin", "http://127.0.0.1:1", "demo-a", "x"}},
		{"which origin", []string{"--token", "x", "demo-a", "x"}},
		{`--format is "xml"; it must be ndjson or csv`, []string{"--format", "xml", "demo-a", "x"}},
		{"accepts 2 arg(s)", []string{"demo-a"}},
		{"unknown flag", []string{"--wat"}},
	} {
		_, err := verb(t.Context(), nil, append([]string{"push"}, c.args...)...)
		wantExit(t, err, exitUsage, c.says)
	}
	_, err := verb(t.Context(), nil, "push", "--up", "none.json", "demo-a", "x")
	wantExit(t, err, exitFailure, "none.json")
}

func TestPushFindsTheFleet(t *testing.T) {
	o := newFakeOrigin(t)
	inFleet(t, fleet.Up{Origin: o.url, PushToken: "token"})
	for i, flags := range [][]string{nil, {"--up", defaultUp}, {"--origin", o.url, "--up", defaultUp}} {
		_, err := verb(t.Context(), strings.NewReader("{}"), append([]string{"push", "demo-a", "-"}, flags...)...)
		if err != nil || o.pushes != i+1 {
			t.Errorf("%v: %d pushes, %v", flags, o.pushes, err)
		}
	}
	_, err := verb(t.Context(), strings.NewReader("{}"), "push", "--origin", o.url, "demo-a", "-")
	wantExit(t, err, exitUsage, "which origin") // the fleet's token is for the fleet's origin
}
