package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// endless repeats its text for ever and counts what was read.
type endless struct {
	text string
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[(e.read+int64(i))%int64(len(e.text))]
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestLimitsAgainstEndlessInput(t *testing.T) {
	lim := Limits{Deltas: 1000, Bytes: 200_000, Line: 64 << 10}
	delta := `{"subject":"a","status":"red"}` + "\n"
	long := delta[:len(delta)-1] + strings.Repeat(" ", 10_000) + "\n"
	for _, c := range []struct {
		name, text string
		f          Format
		want       LimitError
		read       int64 // at most
	}{
		{"a line", "x", NDJSON, LimitError{LimitLine, 64 << 10, 1}, 66_000},
		{"a line of blanks", " ", NDJSON, LimitError{LimitLine, 64 << 10, 1}, 66_000},
		{"a header", "subject,", CSV, LimitError{LimitLine, 64 << 10, 1}, 66_000},
		{"a quoted field", `"`, CSV, LimitError{LimitLine, 64 << 10, 1}, 66_000},
		{"short lines", delta, NDJSON, LimitError{LimitDeltas, 1000, 1001}, 100_000},
		{"bad lines", "x\n", NDJSON, LimitError{LimitDeltas, 1000, 1001}, 66_000},
		{"long lines", long, NDJSON, LimitError{LimitBytes, 200_000, 20}, 266_000},
		{"blank lines", "\r\n", NDJSON, LimitError{LimitBytes, 200_000, 100_001}, 266_000},
		{"blank lines before a header", "\n", CSV, LimitError{LimitBytes, 200_000, 200_001}, 266_000},
	} {
		r := &endless{text: c.text}
		_, err := Read(r, c.f, lim, func(Row) {})
		var limit *LimitError
		if !errors.As(err, &limit) || *limit != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, &c.want)
		}
		if r.read > c.read {
			t.Errorf("%s: read %d bytes, want at most %d", c.name, r.read, c.read)
		}
	}
}

// TestLimitsAreExact: what is as large as a limit passes, a byte or a delta more does not.
func TestLimitsAreExact(t *testing.T) {
	line := `{"subject":"a","status":"red"}`
	for _, push := range []string{
		line, line + "\n", line + "\r\n", "\ufeff" + line + "\r\n",
		"\ufeff" + line + "\r\n" + line + "\r\n\r\n", line + "\n" + line,
	} {
		count := strings.Count(push, line)
		exact := Limits{Deltas: count, Bytes: int64(len(push)), Line: len(line)}
		if rows, err := readAll(push, NDJSON, exact); err != nil || len(rows) != count {
			t.Errorf("%q within its limits: %d rows, %v", push, len(rows), err)
		}
		for what, lim := range map[string]Limits{
			LimitDeltas: {count - 1, exact.Bytes, exact.Line},
			LimitBytes:  {count, exact.Bytes - 1, exact.Line},
			LimitLine:   {count, exact.Bytes, exact.Line - 1},
		} {
			_, err := readAll(push, NDJSON, lim)
			var limit *LimitError
			if !errors.As(err, &limit) || limit.What != what || !strings.Contains(err.Error(), "line ") {
				t.Errorf("%q with %+v: %v, want limit %s", push, lim, err, what)
			}
		}
	}
	if DefaultLimits != (Limits{1_000_000, 256 << 20, 65536}) {
		t.Errorf("the limits that users were promised became %+v", DefaultLimits)
	}
}

// piecewise hands text over in pieces of random sizes, sometimes nothing, and its end with or after the last.
type piecewise struct {
	text string
	rng  *rand.Rand
}

func (p *piecewise) Read(b []byte) (int, error) {
	n := min(p.rng.IntN(3*len(b)/2+2), len(b), len(p.text))
	copy(b, p.text[:n])
	p.text = p.text[n:]
	if p.text == "" && (n == 0 || p.rng.IntN(2) == 0) {
		return n, io.EOF
	}
	return n, nil
}

// TestLinesInPieces: how a stream comes in pieces, and where its lines lie in the buffer, changes neither a line nor a limit.
func TestLinesInPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var text strings.Builder
		var want []string
		const longest = 40
		for range 200 {
			line := strings.Repeat("x", rng.IntN(longest+1))
			if rng.IntN(4) > 0 && line != "" {
				line = fmt.Sprintf("%d", rng.Uint64())
			}
			if want = append(want, line); line == "" {
				want = want[:len(want)-1]
			}
			text.WriteString(line + []string{"\n", "\r\n"}[rng.IntN(2)])
		}
		whole := text.String()
		failed := []string{"", strings.Repeat("x", longest+1), strings.Repeat(" ", longest+1) + "\n"}[rng.IntN(3)]
		lim := Limits{Bytes: int64(len(whole) + len(failed)), Line: longest}
		l := newLines(&piecewise{whole + failed, rng}, lim)
		for i, line := range want {
			if got, err := l.next(); err != nil || string(got) != line {
				t.Fatalf("line %d: %q, %v; want %q", i, got, err, line)
			}
		}
		_, err := l.next()
		var limit *LimitError
		if failed == "" && err != io.EOF || failed != "" && !(errors.As(err, &limit) && limit.What == LimitLine && limit.Line == 201) {
			t.Fatalf("after the last line, with %q: %v", failed, err)
		}
		l.free()
	}
}

// idle never returns anything.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestIdleReader(t *testing.T) {
	if _, err := Read(idle{}, Sniffed, DefaultLimits, func(Row) {}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v, want %v", err, io.ErrNoProgress)
	}
}

// TestReadsAtOnce: pushes that are read at the same time, of different limits too, get none of each other's lines.
func TestReadsAtOnce(t *testing.T) {
	var all errgroup.Group
	for g := range 16 {
		all.Go(func() error {
			lim, blanks := DefaultLimits, strings.Repeat(" ", 200)
			if g%2 == 0 {
				lim.Line, blanks = 100, ""
			}
			for range 5 {
				id := fmt.Sprintf("g%d", g)
				push := strings.Repeat(fmt.Sprintf("{%s\"subject\":%q,\"status\":\"green\"}\n", blanks, id), 3000)
				_, err := Read(strings.NewReader(push), NDJSON, lim, func(r Row) {
					if string(r.Subject) != id {
						panic(fmt.Sprintf("%s read %s", id, r.Subject))
					}
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// FuzzLines: lines are what is left of splitting the whole at its line feeds.
func FuzzLines(f *testing.F) {
	f.Add([]byte("\ufeffa\r\n\n \r\nb\r\r\nc\r"))
	f.Add([]byte("\ufeff\ufeff\n\ufeffa"))
	f.Fuzz(func(t *testing.T, input []byte) {
		l := newLines(bytes.NewReader(input), Limits{Bytes: int64(len(input)), Line: len(input)})
		for i, want := range bytes.Split(bytes.TrimPrefix(input, bom), []byte("\n")) {
			want = bytes.TrimSuffix(want, []byte("\r"))
			if len(bytes.Trim(want, " \t\r")) == 0 {
				continue
			}
			if got, err := l.next(); err != nil || !bytes.Equal(got, want) || l.no != i+1 {
				t.Fatalf("line %d: %q, %v; want line %d: %q", l.no, got, err, i+1, want)
			}
		}
		if got, err := l.next(); err != io.EOF {
			t.Fatalf("after the last line: %q, %v", got, err)
		}
	})
}
