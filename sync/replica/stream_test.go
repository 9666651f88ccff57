package replica

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
)

// What an answer of the log may be beside one that says what it should.
func TestAnswersThatAreNone(t *testing.T) {
	c := newChain(t)
	record := c.reign().Record
	frame := func(rw io.Writer) { _ = issuer.WriteFrame(rw, record) }
	for name, tc := range map[string]struct {
		answer func(rw http.ResponseWriter)
		is     error  // what it ends with, or
		says   string // what that says
		taken  int
	}{
		"an end":             {func(rw http.ResponseWriter) { frame(rw) }, errEnded, "", 1},
		"cut":                {func(rw http.ResponseWriter) { frame(rw); abort(rw) }, io.ErrUnexpectedEOF, "", 1},
		"cut in a record":    {func(rw http.ResponseWriter) { _, _ = rw.Write([]byte{9, 0, 0, 0, 1}); abort(rw) }, io.ErrUnexpectedEOF, "", 0},
		"an end in a record": {func(rw http.ResponseWriter) { _, _ = rw.Write([]byte{9, 0, 0, 0, 1}) }, io.ErrUnexpectedEOF, "", 0},
		"a record of 4 GB":   {func(rw http.ResponseWriter) { _, _ = rw.Write([]byte{255, 255, 255, 255, 1}) }, nil, "no file of records", 0},
		"no last":            {func(rw http.ResponseWriter) { rw.Header().Del("Scanedge-Log-Last") }, nil, "where the log ends", 0},
		"a rewound log":      {func(rw http.ResponseWriter) { problem(rw, 409, "log-rewound") }, ErrRewound, "", 0},
		"another conflict":   {func(rw http.ResponseWriter) { problem(rw, 409, "conflict") }, nil, "409", 0},
		"a refusal":          {func(rw http.ResponseWriter) { problem(rw, 401, "no-token") }, nil, "no-token", 0},
		"a redirect away":    {func(rw http.ResponseWriter) { rw.Header().Set("Location", ":"); rw.WriteHeader(302) }, nil, "Location", 0},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if req.URL.String() != "/v1/issuers/demo-a/log?after=7" {
				t.Errorf("asked for %s", req.URL)
			}
			rw.Header().Set("Scanedge-Log-Last", "9")
			tc.answer(rw)
		}))
		o := &origin{url: s.URL, client: newClient()}
		taken := 0
		err := o.follow(t.Context(), "demo-a", 7, func(last uint64) {
			if last != 9 {
				t.Errorf("%s: it ends at %d", name, last)
			}
		}, func(e entry) error {
			if taken++; e.Seq != issuer.OffsetOf(record) || e.CaughtUp || string(e.Record) != string(record) {
				t.Errorf("%s: %+v", name, e)
			}
			return nil
		})
		if tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) || taken != tc.taken {
			t.Errorf("%s: %d records, %v", name, taken, err)
		}
		o.client.CloseIdleConnections()
		s.Close()
	}
}

func abort(rw http.ResponseWriter) {
	_ = http.NewResponseController(rw).Flush()
	panic(http.ErrAbortHandler)
}

func problem(rw http.ResponseWriter, status int, word string) {
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, `{"type":"`+word+`"}`)
}

// A size that is claimed takes no memory of that size.
func TestAClaimedSizeTakesLittleMemory(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Scanedge-Log-Last", "9")
		_, _ = rw.Write(binary.LittleEndian.AppendUint32(nil, 128<<20))
	}))
	defer s.Close()
	o := &origin{url: s.URL, client: newClient()}
	defer o.client.CloseIdleConnections()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := o.follow(t.Context(), "demo-a", 7, func(uint64) {}, func(entry) error { return nil })
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.ErrUnexpectedEOF) || n > 30<<20 {
		t.Errorf("it took %d MB: %v", n>>20, err)
	}
}

// What came on the way to the log's end counts as old: an origin that is slow to answer may have sent a beat that was made before it
// was asked for it. So the log counts as asked when the request was sent, and where the answer takes too long it is asked again.
func TestALateAnswerIsAskedForAgain(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	f.late = func() {
		f.cut(func() { f.late = nil })
		time.Sleep(askedWithin + 200*time.Millisecond)
	}
	f.edge(t).agrees(f)
	if n := len(f.asks); n < 2 {
		t.Errorf("asked %d times", n)
	}
}

// Beats that the log held when it was asked are old, however soon they come.
func TestBeatsOfBeforeDoNotCount(t *testing.T) {
	f := newFleet(t)
	for range 5 {
		f.push(t, "x", green)
	}
	e := f.edge(t)
	e.until("at the log's end", func() bool { return e.report("demo-a").At == f.at.Offset })
	time.Sleep(100 * time.Millisecond)
	if v, any := e.last("demo-a"); any {
		t.Errorf("published %+v", v)
	}
	f.keep(t, f.beat())
	e.await("published", "demo-a", func(published) bool { return true })
}

// The origin's control and its logs have nothing to do with each other but that the one names the others.
func TestLogsAreFollowedWithoutControl(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t)
	e.agrees(f)
	f.says(func(c *access.Control) { c.Version = 9 })
	e.until("refusing that version", func() bool { return strings.Contains(e.said.String(), "it speaks version 9") })
	f.push(t, "x", red)
	e.agrees(f)
	f.says(func(c *access.Control) { c.Version = access.ControlVersion })
	f.second(t, "demo-b")
	e.until("told of the other", func() bool { return e.report("demo-b").Issuer != "" })
}
