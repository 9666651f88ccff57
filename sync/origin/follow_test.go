package origin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

// served serves an origin over HTTP, to an edge, until the test ends.
func served(t testing.TB, o *Origin) string {
	s := httptest.NewServer(asEdge(t, o))
	t.Cleanup(func() { o.EndStreams(); s.Close(); http.DefaultClient.CloseIdleConnections() })
	return s.URL
}

// stream is an issuer's log as an edge follows it.
type stream struct {
	last uint64
	body io.ReadCloser
	in   *bufio.Reader
}

func followed(t testing.TB, url string, after uint64) *stream {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("%s/v1/issuers/demo-a/log?after=%d", url, after))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	s := &stream{body: res.Body, in: bufio.NewReader(res.Body)}
	t.Cleanup(func() { s.body.Close() })
	if s.last, err = strconv.ParseUint(res.Header.Get("Scanedge-Log-Last"), 10, 64); err != nil {
		t.Fatal(err)
	}
	return s
}

// until reads on up to the chained record at an offset, and returns those that came; beats may be among them.
func (s *stream) until(t testing.TB, offset uint64) (chained [][]byte) {
	t.Helper()
	before := uint64(0)
	for {
		r, err := issuer.ReadFrame(s.in)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _, err := issuer.Open(r)
		if err != nil || head.Offset <= before {
			t.Fatalf("%+v after %d: %v", head, before, err)
		}
		if before = head.Offset; head.Kind.Chained() {
			chained = append(chained, r)
		}
		if head.Offset >= offset {
			return chained
		}
	}
}

// chainOf is all that an origin's log holds of the chain after an offset.
func chainOf(t testing.TB, o *Origin, after uint64) (records [][]byte) {
	t.Helper()
	if _, err := o.writers["demo-a"].log.Replay(t.Context(), after, func(e deltalog.Entry) error {
		records = append(records, e.Record)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return records
}

// setFor sets a variable of the package until the test ends.
func setFor[T any](t testing.TB, v *T, to T) {
	was := *v
	*v = to
	t.Cleanup(func() { *v = was })
}

func bigRow(n int) string {
	var b strings.Builder
	b.WriteString("subject,status\n")
	for i := range n {
		fmt.Fprintf(&b, "s%d,red\n", i)
	}
	return b.String()
}

// Wherever edges begin, and whether they are fed from memory or from the log, they get each chained record once and in order, as it
// lies in the log, while others are stored; and beats when they are abreast.
func TestFollowersGetTheChain(t *testing.T) {
	setFor(t, &tailBytes, 3000)
	setFor(t, &slowEdge, time.Minute) // they are read at the end
	o := open(t, t.TempDir(), "demo-a")
	url := served(t, o)
	offsets := []uint64{0}
	push := func(n int) {
		body := row("x", []string{"red", "green"}[n%2])
		if n%10 == 9 {
			body = bigRow(60_000) // of more than one message
		}
		offsets = append(offsets, pushOK(t, o, "demo-a", body).Offset)
	}
	for n := range 43 {
		push(n)
	}
	var streams []*stream
	var from []uint64
	for _, after := range offsets {
		streams, from = append(streams, followed(t, url, after)), append(from, after)
	}
	for n := range 40 {
		push(n)
		if n%4 == 0 { // one that begins at a beat, or behind the last record
			last, err := o.writers["demo-a"].log.Last(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			streams, from = append(streams, followed(t, url, last)), append(from, last)
		}
		time.Sleep(30 * time.Millisecond)
	}
	end := offsets[len(offsets)-1]
	for i, s := range streams {
		if s.last < from[i] {
			t.Errorf("after %d: the log ended at %d", from[i], s.last)
		}
		if got, want := s.until(t, end), chainOf(t, o, from[i]); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("after %d: %d records, not the %d of the log", from[i], len(got), len(want))
		}
		r, err := issuer.ReadFrame(s.in)
		if err != nil {
			t.Fatal(err)
		}
		if head, _, _, err := issuer.Open(r); err != nil || head.Kind != issuer.Beat || head.Offset <= end {
			t.Errorf("then %+v, %v", head, err)
		}
	}
}

// What the log holds past what the writer knew reaches edges all the same, once the writer has found out.
func TestFollowersGetWhatNobodyWasSureOf(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	s := followed(t, served(t, o), 0)
	w := o.writers["demo-a"]
	stopWriter(o)
	store := w.append
	w.append = func(ctx context.Context, after uint64, records [][]byte) error {
		w.append = store
		return errors.Join(store(ctx, after, records), errors.New("no answer"))
	}
	w.commit([]*push{keyed(t, w, "k", row("x", "red"))})
	w.commit([]*push{keyed(t, w, "l", row("x", "green"))})
	if got, want := s.until(t, w.at.Offset), chainOf(t, o, 0); !slices.EqualFunc(got, want, bytes.Equal) || len(got) != 3 {
		t.Errorf("%d records, not the %d of the log", len(got), len(want))
	}
}

// What an edge may not follow, and why.
func TestFollowingRefused(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	for _, c := range []struct {
		method, path string
		word         scanedge.ProblemType
	}{
		{"GET", "/v1/issuers/demo-z/log?after=0", scanedge.UnknownIssuer},
		{"GET", "/v1/issuers/demo-a/log?after=1000", scanedge.LogRewound},
		{"HEAD", "/v1/issuers/demo-a/log?after=1000", scanedge.LogRewound},
		{"GET", "/v1/issuers/demo-a/log", scanedge.BadRequest},
		{"GET", "/v1/issuers/demo-a/log?after=-1", scanedge.BadRequest},
		{"POST", "/v1/issuers/demo-a/log?after=0", scanedge.MethodNotAllowed},
	} {
		rec := call(asEdge(t, o), c.method, c.path, "", "")
		var p scanedge.Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Type != c.word || rec.Code != c.word.Status() {
			t.Errorf("%s %s: %d %s", c.method, c.path, rec.Code, rec.Body)
		}
	}
	o.EndStreams()
	if rec := call(asEdge(t, o), "GET", "/v1/issuers/demo-a/log?after=0", "", ""); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("while it stops: %d %s", rec.Code, rec.Body)
	}
}

// An edge's credential reads what is for edges, and says what it offers; it changes nothing, whatever it is sent with.
func TestAnEdgeCanWriteNothing(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushOK(t, o, "demo-a", row("x", "green"))
	stopWriter(o)
	before, digest := chainOf(t, o, 0), digestOf(t, o)
	reads := []string{http.MethodGet, http.MethodHead}
	may := map[string][]string{
		"/v1/control":                    reads[1:], // GET has no end, and another test
		"/v1/issuers/demo-a/log?after=0": reads[1:],
		"/v1/issuers/demo-a/snapshot":    reads,
		"/v1/issuers/demo-a/snapshots/0": reads,
		reports:                          {http.MethodPost},
		"/v1/status":                     nil,
		"/v1/issuers/demo-a/offsets/0":   nil,
		"/v1/issuers/demo-a/deltas":      nil,
		"/v1/issuers/demo-a/pushes/k":    nil,
		"/v1/issuers/demo-a/records":     nil,
		"/v1/issuers/demo-a":             nil,
		"/v1/issuers/other":              nil,
		"/v1/issuers":                    nil,
	}
	bodies := []string{row("x", "red"), `{"subject":"x","status":"red"}`, `{"max_stale_s":1}`, string(before[0])}
	for path, methods := range may {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if slices.Contains(reads, method) && strings.Contains(path, "log?") || path == "/v1/control" && method == "GET" {
				continue
			}
			for _, body := range bodies {
				rec := call(asEdge(t, o), method, path, "", body, "192.0.2.7:9")
				let := rec.Code != http.StatusUnauthorized && rec.Code != http.StatusMethodNotAllowed
				if let != slices.Contains(methods, method) {
					t.Errorf("%s %s: %d %s", method, path, rec.Code, rec.Body)
				}
			}
		}
	}
	if after := chainOf(t, o, 0); !slices.EqualFunc(before, after, bytes.Equal) || digestOf(t, o) != digest || len(o.sorted()) != 1 {
		t.Error("the log, the table or the issuers are not what they were")
	}
}

// awaitFollowers waits until so many edges follow.
func awaitFollowers(t testing.TB, o *Origin, n int64) {
	t.Helper()
	w := o.writers["demo-a"]
	for deadline := time.Now().Add(20 * time.Second); w.followers.Load() != n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d follow, not %d", w.followers.Load(), n)
		}
	}
}

// An edge that takes nothing is cut, whether it is fed from memory or from the log, and sees that this was no end.
func TestAFrozenEdgeIsCut(t *testing.T) {
	setFor(t, &slowEdge, 300*time.Millisecond)
	o := open(t, t.TempDir(), "demo-a")
	url := served(t, o)
	for range 4 {
		pushOK(t, o, "demo-a", bigRow(200_000)) // 4 MB
	}
	var frozen []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(256 << 10) // a smaller one would be read at the end by as small a window
		after := []uint64{0, o.writers["demo-a"].offset.Load()}[len(frozen)%2]
		fmt.Fprintf(conn, "GET /v1/issuers/demo-a/log?after=%d HTTP/1.1\r\nHost: x\r\n\r\n", after)
		frozen = append(frozen, conn)
	}
	awaitFollowers(t, o, 3)
	for range 5 {
		pushOK(t, o, "demo-a", bigRow(200_000))
	}
	awaitFollowers(t, o, 0)
	res, err := http.ReadResponse(bufio.NewReader(frozen[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n == 0 {
		t.Errorf("after %d bytes it looks like an end: %v", n, err)
	}
	if !o.readers.TryAcquire(readersRoom) {
		t.Error("what it read is held still")
	}
}

// An origin that stops ends its streams at once, in good order; a server that waits for them does not wait.
func TestStreamsEndWithTheOrigin(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	url := served(t, o)
	s := followed(t, url, 0)
	s.until(t, o.writers["demo-a"].offset.Load())
	res, err := http.Get(url + "/v1/control")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	o.EndStreams()
	for name, body := range map[string]io.Reader{"the log": s.in, "control": res.Body} {
		if _, err := io.Copy(io.Discard, body); err != nil {
			t.Errorf("%s was cut: %v", name, err)
		}
	}
	awaitFollowers(t, o, 0)
}

// Edges that read the log share the room for that: where it is taken, they wait, and come to their records all the same.
func TestReadersOfTheLogShareTheRoom(t *testing.T) {
	setFor(t, &readersRoom, 2*readerRoom)
	setFor(t, &tailBytes, 1)
	o := open(t, t.TempDir(), "demo-a")
	url := served(t, o)
	for range 5 {
		pushOK(t, o, "demo-a", bigRow(250_000)) // larger than half of what a reader has
	}
	end := pushOK(t, o, "demo-a", row("x", "red")).Offset
	want := chainOf(t, o, 0)
	done := make(chan error)
	for range 8 {
		s := followed(t, url, 0)
		go func() {
			got := s.until(t, end)
			if !slices.EqualFunc(got, want, bytes.Equal) {
				done <- fmt.Errorf("%d records, not the %d of the log", len(got), len(want))
				return
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A tail is right for whoever was told the truth: what it gives is what follows, or it says that the log is to be read.
func TestTailAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	setFor(t, &tailBytes, 2000)
	tl, now := newTail(), time.Now()
	type rec struct {
		offset  uint64
		chained bool
	}
	var log []rec
	last := uint64(0)
	read, fed := 0, 0
	for range 5000 {
		switch dice.IntN(20) {
		case 0:
			base := uint64(0)
			for _, r := range log {
				if r.chained {
					base = r.offset
				}
			}
			tl.reset(base)
		case 1:
			now = now.Add(time.Duration(dice.IntN(20)) * time.Second)
		default:
			last += 1 + uint64(dice.IntN(3))
			r := rec{last, dice.IntN(2) == 0}
			log = append(log, r)
			head := issuer.Head{Kind: issuer.Batch, Issuer: "demo-a", Offset: last}
			tl.add(now, r.chained, append(issuer.AppendHead(nil, head), make([]byte, dice.IntN(300))...))
		}
		at := last + 1 - min(last+1, uint64(dice.IntN(25)))
		next, base, _ := tl.next(at)
		var due rec // the next of the chain
		for _, r := range log {
			if r.chained && r.offset > at {
				due = r
				break
			}
		}
		switch {
		case base > at:
			read++
			if due.offset == 0 || due.offset > base {
				t.Fatalf("at %d the log is to be read up to %d, where nothing is", at, base)
			}
		case next.record == nil:
			if due.offset != 0 {
				t.Fatalf("at %d nothing comes, and %d is due", at, due.offset)
			}
		default:
			fed++
			if next.offset <= at || due.offset != 0 && next.offset > due.offset {
				t.Fatalf("at %d comes %d, and %d is due", at, next.offset, due.offset)
			}
		}
	}
	if read < 100 || fed < 100 {
		t.Errorf("%d reads, %d from memory: not what they should be", read, fed)
	}
}

// BenchmarkFollowers has so many edges follow a log, each over a connection of its own, and says what one costs, both of its ends
// in this process, and how long after its acknowledgement a push has reached the last.
func BenchmarkFollowers(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o, err := openErr(b.TempDir(), "demo-a")
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			url := served(b, o)
			goroutines, memory := runtime.NumGoroutine(), inUse()
			came := make(chan uint64, n)
			for range n {
				s := followed(b, url, 0)
				go func() {
					for {
						r, err := issuer.ReadFrame(s.in)
						if err != nil {
							return
						}
						if head, _, _, err := issuer.Open(r); err == nil && head.Kind == issuer.Batch {
							came <- head.Offset
						}
					}
				}()
			}
			goroutines, memory = runtime.NumGoroutine()-goroutines, inUse()-memory
			var waits []time.Duration
			for i := 0; b.Loop(); i++ {
				rec := post(o, "demo-a", strings.NewReader(row("x", []string{"red", "green"}[i%2])))
				if rec.Code != http.StatusOK {
					b.Fatal(rec.Body)
				}
				acked := time.Now()
				for range n {
					<-came
				}
				waits = append(waits, time.Since(acked))
			}
			b.ReportMetric(float64(goroutines)/float64(n), "goroutines/edge")
			b.ReportMetric(float64(memory)/float64(n)/1024, "KB/edge")
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// inUse is the memory that this process uses for heap and stacks, in bytes.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
