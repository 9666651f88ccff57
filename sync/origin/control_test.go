package origin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
)

// listener reads a control stream line by line.
type listener struct {
	t     *testing.T
	lines *bufio.Reader
	last  access.Control
}

func listenTo(t *testing.T, o *Origin) *listener {
	t.Helper()
	s := httptest.NewServer(asEdge(t, o))
	t.Cleanup(s.Close)
	t.Cleanup(o.EndStreams) // before the server is closed, which waits for them
	res, err := s.Client().Get(s.URL + "/v1/control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	return &listener{t: t, lines: bufio.NewReader(res.Body)}
}

func (l *listener) next() access.Control {
	l.t.Helper()
	line, err := l.lines.ReadBytes('\n')
	if err != nil {
		l.t.Fatal(err)
	}
	var c access.Control
	if err := json.Unmarshal(line, &c); err != nil {
		l.t.Fatalf("%s: %v", line, err)
	}
	if c.Serial < l.last.Serial || c.Version != access.ControlVersion {
		l.t.Errorf("version %d, serial %d after %d", c.Version, c.Serial, l.last.Serial)
	}
	l.last = c
	return c
}

// until reads on until a line is like that; it must come of the change alone.
func (l *listener) until(what string, like func(access.Control) bool) {
	l.t.Helper()
	before := l.last.Serial
	for !like(l.last) {
		l.next()
	}
	if l.last.Serial <= before {
		l.t.Errorf("%s: told with serial %d, that before was %d", what, l.last.Serial, before)
	}
}

// Whatever edges must know is told when it changes, without waiting for the next time. A test that waits in vain ends by its timeout.
func TestControlTellsOfEveryChange(t *testing.T) {
	defer func(d time.Duration) { controlEvery = d }(controlEvery)
	controlEvery = time.Hour
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	l := listenTo(t, o)
	first := l.next()
	scanner := access.HashOf([]byte(o.tokens.Scanner))
	if len(first.Issuers) != 1 || first.Issuers[0].ID != "demo-a" || !first.Issuers[0].Plain || len(first.ScannerKeys) != 1 ||
		first.ScannerKeys[scanner] != "scanner" || first.Serial == 0 {
		t.Errorf("the first line: %+v", first)
	}
	has := func(token, name string) func(access.Control) bool {
		return func(c access.Control) bool { return c.ScannerKeys[access.HashOf([]byte(token))] == name }
	}
	made := makeToken(t, o, `{"kind":"scan","name":"gate 1"}`)
	l.until("a key", has(made.Token, "gate 1"))
	var second MadeToken
	order(t, o, 200, "POST", "/v1/tokens/"+made.ID+"/rotate", `{"overlap_s":1}`, &second)
	l.until("another secret", has(second.Token, "gate 1"))
	if !has(made.Token, "gate 1")(l.last) {
		t.Error("the secret before ended at once")
	}
	l.until("the end of the overlap", has(made.Token, ""))
	order(t, o, 200, "DELETE", "/v1/tokens/"+made.ID, "", nil)
	l.until("a key that is revoked", has(second.Token, ""))
	order(t, o, 201, "PUT", "/v1/issuers/gz", `{"max_stale_s":7}`, nil)
	l.until("an issuer", func(c access.Control) bool { return len(c.Issuers) == 2 && c.Issuers[1].MaxStaleSeconds == 7 })
	order(t, o, 200, "PUT", "/v1/issuers/gz", `{"plain":false}`, nil)
	l.until("a policy", func(c access.Control) bool { return !c.Issuers[1].Plain && c.Issuers[1].MaxStaleSeconds == 7 })
	order(t, o, 200, "PUT", "/v1/issuers/gz", `{"code_window_steps":2,"new_code_key":true}`, nil)
	l.until("a code key", func(c access.Control) bool {
		return c.Issuers[1].CodeWindowSteps == 2 && reflect.DeepEqual(c.Issuers[1].CodeKeys, o.writer("gz").secret.CodeKeys())
	})
	o.Close()
	if _, err := l.lines.ReadByte(); err == nil {
		t.Error("the stream goes on after the origin")
	}
	last := l.last.Serial
	o = open(t, dir, "demo-a", "gz")
	if c := listenTo(t, o).next(); c.Serial <= last || len(c.Issuers) != 2 || c.Issuers[1].Plain {
		t.Errorf("after a start: %+v, the last serial was %d", c, last)
	}
}

// Silence must show: what did not change is told again.
func TestControlIsToldAgain(t *testing.T) {
	defer func(d time.Duration) { controlEvery = d }(controlEvery)
	controlEvery = 20 * time.Millisecond
	l := listenTo(t, open(t, t.TempDir(), "demo-a"))
	for first := l.next(); ; first = l.last { // a start may still change something
		if l.next(); l.last.Serial == first.Serial {
			return
		}
	}
}

// What an edge may not hold it is not told of.
func TestControlIsFiltered(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a", "demo-b")
	c, _ := o.control(enrol.Edge{Issuers: []string{"demo-b"}})
	if len(c.Issuers) != 1 || c.Issuers[0].ID != "demo-b" {
		t.Errorf("%+v", c.Issuers)
	}
}

func TestStreamsEnd(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	var all []*listener
	for range 3 {
		l := listenTo(t, o)
		l.next()
		all = append(all, l)
	}
	o.EndStreams()
	for _, l := range all {
		for {
			if _, err := l.lines.ReadByte(); err != nil {
				break
			}
		}
	}
	if rec := call(asEdge(t, o), "GET", "/v1/control", "", ""); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("one more: %d %s", rec.Code, rec.Body)
	}
	pushOK(t, o, "demo-a", "subject,status\nx,red\n") // all else goes on
}

// pipes is a listener whose connections hold no byte that was not read.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Who does not read is cut off, and others don't notice.
func TestASlowListenerIsCut(t *testing.T) {
	defer func(d time.Duration) { slowEdge = d }(slowEdge)
	slowEdge = 50 * time.Millisecond
	o := open(t, t.TempDir(), "demo-a")
	l := listenTo(t, o)
	l.next()
	ended := make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		defer close(ended)
		req.RemoteAddr = "127.0.0.1:9"
		o.API().ServeHTTP(rw, req)
	})}
	p := &pipes{conns: make(chan net.Conn, 1)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(p) })
	defer serving.Wait()
	defer s.Close()
	mine, theirs := net.Pipe()
	defer mine.Close()
	p.conns <- theirs
	if _, err := fmt.Fprint(mine, "GET /v1/control HTTP/1.1\r\nHost: o\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-ended // a test that waits in vain ends by its timeout
	made := makeToken(t, o, `{"kind":"scan","name":"gate"}`)
	l.until("a key", func(c access.Control) bool { return c.ScannerKeys[access.HashOf([]byte(made.Token))] == "gate" })
}
