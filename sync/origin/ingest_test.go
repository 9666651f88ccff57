package origin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

// ingest reads a body as a push of a Content-Encoding, for a writer whose seed is ingestSeed.
func ingest(coding string, body io.Reader) ([]cache.Delta, *scanedge.Problem) {
	w := &writer{secret: &issuer.Secret{Seed: ingestSeed}}
	return readDeltas(w, body, http.Header{"Content-Encoding": {coding}}, anyNumber)
}

var ingestSeed = cache.NewSeed()

// wantRows checks that a push is green subjects of these names.
func wantRows(t *testing.T, what string, deltas []cache.Delta, problem *scanedge.Problem, names ...string) {
	t.Helper()
	var want []cache.Delta
	for _, name := range names {
		green, _ := cache.NewRecord(cache.Green, 0, time.Time{})
		want = append(want, cache.Delta{Key: ingestSeed.Key([]byte(name)), Record: green})
	}
	if problem != nil || !slices.Equal(deltas, want) {
		t.Errorf("%s: %d deltas, %v; want %d", what, len(deltas), problem, len(want))
	}
}

func wantProblem(t *testing.T, what string, deltas []cache.Delta, problem *scanedge.Problem, word scanedge.ProblemType, detail string) {
	t.Helper()
	if deltas != nil || problem == nil || problem.Type != word || !strings.Contains(problem.Detail, detail) {
		t.Errorf("%s: %d deltas, %v; want %s: %s", what, len(deltas), problem, word, detail)
	}
}

func greens(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "{\"subject\":%q,\"status\":\"green\"}\n", name)
	}
	return b.String()
}

// compressions are the codings that undo something.
var compressions = []string{"gzip", "zstd"}

func TestCodings(t *testing.T) {
	for coding, as := range map[string]string{
		"": "", "identity": "", "gzip": "gzip", " GZIP ": "gzip", "x-gzip": "gzip", "zstd": "zstd", "Zstd": "zstd",
	} {
		deltas, problem := ingest(coding, bytes.NewReader(packed(as, []byte(greens("a", "b")))))
		wantRows(t, coding, deltas, problem, "a", "b")
	}
	for _, coding := range []string{"br", "deflate", "gzip, zstd", "zstd, zstd", "aws-chunked"} {
		deltas, problem := ingest(coding, strings.NewReader(greens("a")))
		wantProblem(t, coding, deltas, problem, scanedge.UnsupportedCoding, "send gzip, zstd or none")
	}
}

// TestCompressedBodies: streams may follow each other, as both formats say; what is less than whole, or more, is refused.
func TestCompressedBodies(t *testing.T) {
	for _, coding := range compressions {
		first, second := packed(coding, []byte(greens("a", "b"))), packed(coding, []byte(greens("c")))
		both := slices.Concat(first, second)
		deltas, problem := ingest(coding, iotest.OneByteReader(bytes.NewReader(both)))
		wantRows(t, coding+" twice", deltas, problem, "a", "b", "c")
		deltas, problem = ingest(coding, bytes.NewReader(slices.Concat(first, packed(coding, nil), second, packed(coding, nil))))
		wantRows(t, coding+" with empty streams", deltas, problem, "a", "b", "c")
		deltas, problem = ingest(coding, bytes.NewReader(packed(coding, nil)))
		wantProblem(t, coding+" of nothing", deltas, problem, scanedge.NoDeltas, "no line")
		deltas, problem = ingest(coding, strings.NewReader(""))
		wantProblem(t, "no "+coding, deltas, problem, scanedge.BadEncoding, coding+": the body is empty")
		deltas, problem = ingest(coding, strings.NewReader(greens("a")))
		wantProblem(t, "text for "+coding, deltas, problem, scanedge.BadEncoding, "as "+coding+": ")

		for n := range both {
			deltas, problem := ingest(coding, bytes.NewReader(both[:n]))
			if what := fmt.Sprintf("%s cut after %d of %d and %d bytes", coding, n, len(first), len(second)); n == len(first) {
				wantRows(t, what, deltas, problem, "a", "b")
			} else {
				wantProblem(t, what, deltas, problem, scanedge.BadEncoding, "")
			}
			turned := slices.Clone(both)
			turned[len(both)-1-n] ^= 0x10
			if deltas, problem := ingest(coding, bytes.NewReader(turned)); problem == nil {
				wantRows(t, fmt.Sprintf("%s with a bit turned, %d from the end", coding, n+1), deltas, problem, "a", "b", "c")
			}
		}
		for n := 1; n < 20; n++ {
			for _, c := range []string{"\x00", "\x1f", "\x28", "x"} {
				deltas, problem := ingest(coding, strings.NewReader(string(first)+strings.Repeat(c, n)))
				wantProblem(t, fmt.Sprintf("%s with %d times %q behind", coding, n, c), deltas, problem, scanedge.BadEncoding, "")
			}
		}
	}
}

// TestCutConnection: a connection that breaks is told from a stream that is cut, wherever it breaks: a decoder may take the one
// for its stream's end, and would pass half a push for a whole one.
func TestCutConnection(t *testing.T) {
	for _, coding := range append(compressions, "") {
		text := packed(coding, []byte(greens("a", "b")))
		whole := slices.Concat(text, text)
		for n := range len(whole) + 1 {
			for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("connection reset by peer")} {
				deltas, problem := ingest(coding, io.MultiReader(bytes.NewReader(whole[:n]), &failsOnce{cause}))
				what := fmt.Sprintf("%q cut after %d of twice %d bytes: %v", coding, n, len(text), cause)
				wantProblem(t, what, deltas, problem, scanedge.BodyCut, cause.Error())
			}
		}
	}
}

// failsOnce says once that it was cut, as a request's body may, and then that there is no more.
type failsOnce struct{ err error }

func (f *failsOnce) Read([]byte) (int, error) {
	err := f.err
	f.err = io.EOF
	return 0, err
}

func TestSentKeepsHowItEnded(t *testing.T) {
	cause := errors.New("connection reset by peer")
	s := sent{r: &failsOnce{cause}}
	for range 2 {
		if _, err := s.Read(make([]byte, 1)); err != cause || s.err != cause {
			t.Errorf("%v, kept %v; want %v", err, s.err, cause)
		}
	}
}

// TestBombs: a body that unpacks to far more than a push may be is refused when that is passed, and holds little meanwhile.
func TestBombs(t *testing.T) {
	defer func(limits delta.Limits) { delta.DefaultLimits = limits }(delta.DefaultLimits)
	delta.DefaultLimits.Bytes = 32 << 20
	blank := bytes.Repeat([]byte(strings.Repeat(" ", 1023)+"\n"), 1<<10)
	for _, coding := range compressions {
		mib := packed(coding, blank)
		over := bytes.Repeat(mib, 48)
		before := allocated()
		deltas, problem := ingest(coding, bytes.NewReader(over))
		wantProblem(t, coding+" of blank lines", deltas, problem, scanedge.TooLarge, "split it")
		if held := allocated() - before; held > 16<<20 {
			t.Errorf("%s: %d bytes were allocated on the way", coding, held)
		}
		deltas, problem = ingest(coding, bytes.NewReader(packed(coding, make([]byte, 8<<20))))
		wantProblem(t, coding+" of one line", deltas, problem, scanedge.LineTooLong, "line 1")
	}
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestZstdWindow: a frame that would have its decoder keep more than maxWindow is refused by its header, with what to do.
func TestZstdWindow(t *testing.T) {
	text := []byte(strings.Repeat(greens("a"), 300_000))
	for _, c := range []struct {
		window int
		single bool // the frame has no window but its whole content
		good   bool
	}{{1 << 10, false, true}, {maxWindow, false, true}, {2 * maxWindow, false, false}, {1 << 29, false, false}, {1 << 29, true, false}} {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b, zstd.WithWindowSize(c.window), zstd.WithSingleSegment(c.single))
		if err != nil {
			t.Fatal(err)
		}
		if c.single {
			b.Write(z.EncodeAll(text, nil))
		} else {
			z.Write(text)
			z.Close()
		}
		before := allocated()
		deltas, problem := ingest("zstd", &b)
		what := fmt.Sprintf("window %d, single %v", c.window, c.single)
		if c.good {
			if problem != nil || len(deltas) != 300_000 {
				t.Errorf("%s: %d deltas, %v", what, len(deltas), problem)
			}
			continue
		}
		wantProblem(t, what, deltas, problem, scanedge.BadEncoding, "its window is over 8 MiB; compress it without --long and --ultra")
		if held := allocated() - before; held > 4<<20 {
			t.Errorf("%s: %d bytes were allocated for it", what, held)
		}
	}
}

func TestZstdOddFrames(t *testing.T) {
	skippable := "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"
	frame := string(packed("zstd", []byte(greens("a"))))
	deltas, problem := ingest("zstd", strings.NewReader(skippable+frame+skippable))
	wantRows(t, "skippable frames", deltas, problem, "a")
	deltas, problem = ingest("zstd", strings.NewReader(frame+skippable[:9]))
	wantProblem(t, "a skippable frame cut short", deltas, problem, scanedge.BadEncoding, "")
	deltas, problem = ingest("zstd", strings.NewReader(skippable))
	wantProblem(t, "nothing but a skippable frame", deltas, problem, scanedge.NoDeltas, "")
	deltas, problem = ingest("zstd", strings.NewReader("\x28\xb5\x2f\xfd\x01\x00\x07\x01\x00\x00"))
	wantProblem(t, "a frame with a dictionary", deltas, problem, scanedge.BadEncoding, "")
}

// TestDecodersForgetTheirLastPush: decoders go from push to push, at the same time and after failures of every kind.
func TestDecodersForgetTheirLastPush(t *testing.T) {
	var all errgroup.Group
	for g := range 8 {
		all.Go(func() error {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range 25 {
				name, coding := fmt.Sprintf("g%d-%d", g, i), compressions[rng.IntN(2)]
				body := packed(coding, []byte(strings.Repeat(greens(name), 500)))
				deltas, problem := ingest(coding, bytes.NewReader(body))
				if problem != nil || len(deltas) != 500 || deltas[499].Key != ingestSeed.Key([]byte(name)) {
					return fmt.Errorf("%s, %s: %d deltas, %v", name, coding, len(deltas), problem)
				}
				switch rng.IntN(4) {
				case 0:
					_, problem = ingest(coding, bytes.NewReader(body[:rng.IntN(len(body))]))
				case 1:
					_, problem = ingest(coding, bytes.NewReader(packed(coding, make([]byte, 1<<20))))
				case 2:
					_, problem = ingest(coding, iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(body))))
				case 3:
					_, problem = ingest(coding, bytes.NewReader(append(body, 'x')))
				}
				if problem == nil {
					return fmt.Errorf("%s, %s: a bad body passed", name, coding)
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// TestGrow: as much is allocated as the body will need, to judge by what came of it, and never far more than came.
func TestEnlarge(t *testing.T) {
	const line = 80
	const all = 1_000_000
	for _, c := range []struct{ have, read, size, most, want int }{
		{0, 100, 0, all, 8},
		{0, 100, 1 << 40, all, 8},
		{8, 8 * line, 0, all, 16},                   // the size is not known
		{1000, 1000 * line, 2000 * line, all, 2125}, // a sixteenth more than what it looks like
		{1000, 1000 * line, 1100 * line, all, 2000}, // twice at least, or a bad guess costs a copy for each
		{1000, 1000 * line, 1 << 40, all, 64_000},   // whatever is promised
		{1000, 0, 1 << 40, all, 64_000},             //
		{100_000, 1, 1 << 40, all, 1_000_000},       // no push has more
		{600_000, 1, 0, all, 1_000_000},             //
		{16_384, 16_384 * line, 100_000 * line, all, 106250},
		{8000, 8000 * line, 100_000 * line, 24_576, 24_576}, // as its place has
	} {
		have := make([]cache.Delta, c.have)
		for i := range have {
			have[i].Record = cache.Record(i)
		}
		got := enlarge(have, int64(c.read), int64(c.size), c.most)
		if cap(got) != c.want || !slices.Equal(got, have) {
			t.Errorf("%+v: room for %d", c, cap(got))
		}
	}
}

// TestRoomOverHTTP: a server's request keeps the Content-Length that the room is judged by.
func TestRoomOverHTTP(t *testing.T) {
	w := &writer{secret: &issuer.Secret{Seed: ingestSeed}}
	const rows = 20_000
	room := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		deltas, _ := readDeltas(w, req.Body, req.Header, anyNumber)
		room <- cap(deltas)
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	for _, coding := range append(compressions, "") {
		req, _ := http.NewRequest("POST", server.URL, bytes.NewReader(packed(coding, bodyOf("full", rows))))
		req.Header.Set("Content-Encoding", coding)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := <-room; got < rows || got > rows*3/2 {
			t.Errorf("%q: room for %d, of %d", coding, got, rows)
		}
	}
}

// TestSmallPushIsCheap: a push of one line allocates no buffers of its own.
func TestSmallPushIsCheap(t *testing.T) {
	for _, coding := range append(compressions, "") {
		body := packed(coding, []byte(greens("a")))
		const pushes = 2000
		before := allocated()
		for range pushes {
			if _, problem := ingest(coding, bytes.NewReader(body)); problem != nil {
				t.Fatal(problem)
			}
		}
		// Under the race detector a pool gives only three of four back, so this allows for more than that.
		if each := (allocated() - before) / pushes; each > 32<<10 {
			t.Errorf("%q: %d bytes a push", coding, each)
		}
	}
}
