package replica

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// fleet is an origin as edges see it, of one issuer whose records the chain makes; what it serves is what the test says.
type fleet struct {
	*chain
	*shelf // of that issuer
	kept   []entry
	store  *snapshot.Store
	served *snapshot.Server
	origin *httptest.Server

	mu      sync.Mutex
	control access.Control
	told    chan struct{}     // closed when control changes, and replaced
	shelves map[string]*shelf // by issuer
	offer   *snapshot.Offer   // nil: none yet
	asked   int               // for the offer
	reports []access.Report   // that edges sent
	out     bool              // no edge is enrolled
	turned  int               // how often one was told so
	deaf    bool              // reports are read, and not answered
}

// shelf is an issuer's log.
type shelf struct {
	mu      sync.Mutex
	entries []entry
	last    uint64
	down    bool          // it is not served
	changed chan struct{} // closed when any of this changes, and replaced
	life    chan struct{} // closed when those who follow are to be cut off, and replaced
	asks    []uint64      // after what it was asked for
	late    func()        // called before an answer begins, when it is known where the log ends; nil: nothing
}

func newShelf() *shelf { return &shelf{changed: make(chan struct{}), life: make(chan struct{})} }

// change changes the log.
func (s *shelf) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

// cut is a change that ends the answers under way.
func (s *shelf) cut(do func()) {
	s.change(func() {
		do()
		close(s.life)
		s.life = make(chan struct{})
	})
}

// after returns the first entry after a sequence.
func (s *shelf) after(seq uint64) (e entry, found, down bool, changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.Seq > seq {
			return e, true, s.down, s.changed
		}
	}
	return e, false, s.down, s.changed
}

func (s *shelf) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	var after uint64
	_, _ = fmt.Sscan(req.FormValue("after"), &after)
	s.mu.Lock()
	last, down, life, late := s.last, s.down, s.life, s.late
	s.asks = append(s.asks, after)
	s.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	if late != nil {
		late()
	}
	if after > last {
		scanedge.NewProblem(scanedge.LogRewound, "").Write(rw)
		return
	}
	rw.Header().Set("Scanedge-Log-Last", fmt.Sprint(last))
	for conn := http.NewResponseController(rw); ; {
		e, found, down, changed := s.after(after)
		if found && !down {
			_ = issuer.WriteFrame(rw, e.Record)
			after = e.Seq
			continue
		}
		_ = conn.Flush()
		select {
		case <-changed:
		case <-life:
			panic(http.ErrAbortHandler)
		case <-req.Context().Done():
			return
		}
	}
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := newFleetNowhere(t)
	f.origin = httptest.NewServer(f)
	t.Cleanup(f.origin.Close)
	return f
}

// newFleetNowhere is one that does not listen yet.
func newFleetNowhere(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{chain: newChain(t), served: snapshot.NewServer(2), told: make(chan struct{})}
	f.shelf = newShelf()
	var err error
	if f.store, err = snapshot.Open(t.TempDir(), f.secret.Public()); err != nil {
		t.Fatal(err)
	}
	f.control = access.Control{Version: access.ControlVersion, Issuers: []issuer.Public{f.secret.Public()}}
	f.shelves = map[string]*shelf{f.secret.ID: f.shelf}
	f.keep(t, f.reign())
	return f
}

// away runs do while no edge can reach the log.
func (f *fleet) away(do func()) {
	f.cut(func() { f.down = true })
	do()
	f.change(func() { f.down = false })
}

// newLog is a log with nothing in it. No edge should reach it meanwhile.
func (f *fleet) newLog() {
	f.change(func() { f.entries, f.last = nil, 0 })
	f.kept = nil
}

// mended is the log made anew as the issuer wrote it, whatever others stored there.
func (f *fleet) mended(t *testing.T) {
	f.away(func() {
		kept := f.kept
		f.newLog()
		for _, e := range kept {
			f.keep(t, e)
		}
	})
}

func (f *fleet) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := req.URL.Path
	id, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/issuers/"), "/")
	switch {
	case f.out:
		f.turned++
		scanedge.NewProblem(scanedge.NotEnrolled, "").Write(rw)
	case path == "/v1/control":
		f.serveControl(rw, req)
	case strings.HasSuffix(path, "/log"):
		log := f.shelves[id]
		f.mu.Unlock()
		defer f.mu.Lock()
		log.ServeHTTP(rw, req)
	case path == "/v1/edges/self/reports":
		f.mu.Unlock()
		defer f.mu.Lock()
		f.serveReports(rw, req)
	case strings.HasSuffix(path, "/snapshot"):
		f.asked++
		if f.offer == nil {
			scanedge.NewProblem(scanedge.NoSnapshot, "").Write(rw)
			return
		}
		_ = json.NewEncoder(rw).Encode(f.offer)
	default:
		f.mu.Unlock()
		defer f.mu.Lock()
		f.served.ServeHTTP(rw, req)
	}
}

// serveControl is for who holds mu.
func (f *fleet) serveControl(rw http.ResponseWriter, req *http.Request) {
	for conn := http.NewResponseController(rw); ; {
		_ = json.NewEncoder(rw).Encode(f.control)
		_ = conn.Flush()
		told := f.told
		f.mu.Unlock()
		select {
		case <-told:
		case <-time.After(time.Second):
		case <-req.Context().Done():
		}
		f.mu.Lock()
		if req.Context().Err() != nil {
			return
		}
	}
}

func (f *fleet) serveReports(rw http.ResponseWriter, req *http.Request) {
	conn := http.NewResponseController(rw)
	_ = conn.EnableFullDuplex()
	rw.Header().Set("Connection", "close")
	for lines := json.NewDecoder(req.Body); ; {
		var r access.Report
		if lines.Decode(&r) != nil {
			return
		}
		f.mu.Lock()
		f.reports = append(f.reports, r)
		deaf := f.deaf
		f.mu.Unlock()
		if deaf {
			continue
		}
		_, _ = rw.Write([]byte{'\n'})
		_ = conn.Flush()
	}
}

// reported returns what edges reported so far.
func (f *fleet) reported() []access.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reports)
}

// says changes what the origin says.
func (f *fleet) says(change func(*access.Control)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.control.Issuers = append([]issuer.Public(nil), f.control.Issuers...)
	change(&f.control)
	close(f.told)
	f.told = make(chan struct{})
}

// keep appends a record that the chain made.
func (f *fleet) keep(t *testing.T, e entry) {
	t.Helper()
	f.change(func() {
		if e.Seq != f.last+1 {
			t.Errorf("%d after %d", e.Seq, f.last)
		}
		f.entries, f.last = append(f.entries, e), e.Seq
	})
	f.kept = append(f.kept, e)
}

// stray appends what another wrote.
func (f *fleet) stray(t *testing.T, e entry) {
	t.Helper()
	f.keep(t, e)
	f.kept = f.kept[:len(f.kept)-1]
}

// second is another issuer of the same origin, with a log of its own.
func (f *fleet) second(t *testing.T, id string) *fleet {
	t.Helper()
	other := &fleet{chain: newChainOf(t, id), shelf: newShelf()}
	other.keep(t, other.reign())
	f.says(func(c *access.Control) {
		f.shelves[id] = other.shelf
		c.Issuers = append(c.Issuers, other.secret.Public())
	})
	return other
}

// push appends a batch of one delta, and beats.
func (f *fleet) push(t *testing.T, subject string, r cache.Record) {
	t.Helper()
	f.keep(t, f.batch(subject, r))
	f.keep(t, f.beat())
}

// snapshot has the origin offer a snapshot of the table as it is.
func (f *fleet) snapshot(t *testing.T) snapshot.File {
	t.Helper()
	file, err := f.store.Write(t.Context(), f.table, f.secret, f.epoch, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.served.Offer(file)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offer = &snapshot.Offer{Manifest: file.Manifest, Sources: []string{f.origin.URL}}
	return file
}

// trim makes the log forget all up to an offset.
func (f *fleet) trim(upTo uint64) {
	f.change(func() {
		f.entries = slices.DeleteFunc(slices.Clone(f.entries), func(e entry) bool { return e.Seq <= upTo })
	})
}

// edge is a Keeper on a fleet, and what it publishes.
type edge struct {
	*Keeper
	t     *testing.T
	cfg   Config
	stops func()

	mu       sync.Mutex
	views    map[string]published
	suspects map[string]bool
	said     syncBuffer
}

type published struct {
	pub issuer.Public
	View
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newClient is a client as a Keeper needs it.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{ReadBufferSize: 64 << 10}}
}

func (f *fleet) edge(t *testing.T, change ...func(*Config)) *edge {
	e := &edge{t: t, views: map[string]published{}, suspects: map[string]bool{}}
	e.cfg = Config{
		Origin: f.origin.URL, Client: newClient(), Sources: newClient(), Dir: t.TempDir(), SnapshotEvery: time.Hour, ScrubEvery: time.Hour,
		Learned: func(access.Control) {}, Metrics: metrics.NewSet(),
		Logger: slog.New(slog.NewTextHandler(&e.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Publish: func(pub issuer.Public, v View) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.views[pub.ID] = published{pub, v}
			e.suspects[pub.ID] = e.suspects[pub.ID] || v.Suspect
		},
	}
	for _, c := range change {
		c(&e.cfg)
	}
	e.start()
	t.Cleanup(func() {
		e.stop()
		if t.Failed() {
			t.Logf("the edge said:\n%s", e.said.String())
		}
	})
	return e
}

func (e *edge) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	e.Keeper = New(e.cfg)
	go func() { defer close(done); e.Run(ctx) }()
	e.stops = sync.OnceFunc(func() { cancel(); <-done })
}

func (e *edge) stop() { e.stops() }

// suspected reports whether an issuer's table was ever published as suspect.
func (e *edge) suspected(issuer string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.suspects[issuer]
}

// restart is a new process on the same folder.
func (e *edge) restart() {
	e.stop()
	e.mu.Lock()
	clear(e.views)
	e.mu.Unlock()
	e.start()
}

// last is what was published last of an issuer.
func (e *edge) last(issuer string) (published, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.views[issuer]
	return v, ok
}

func (e *edge) report(issuer string) Report {
	for _, r := range e.Report() {
		if r.Issuer == issuer {
			return r
		}
	}
	return Report{}
}

// await waits until what was published last is as wanted.
func (e *edge) await(what, issuer string, ok func(published) bool) published {
	e.t.Helper()
	var last published
	e.until(what, func() bool {
		v, any := e.last(issuer)
		last = v
		return any && ok(v)
	})
	return last
}

func (e *edge) until(what string, ok func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			e.t.Fatalf("never %s; the report is %+v", what, e.Report())
		}
	}
}

// agrees waits until the edge vouches for all that the issuer wrote, beating meanwhile, and checks that it is so.
func (e *edge) agrees(f *fleet) published {
	e.t.Helper()
	var v published
	beaten := time.Time{}
	e.until("in agreement", func() (any bool) {
		if time.Since(beaten) > 100*time.Millisecond {
			beaten = time.Now()
			f.keep(e.t, f.beat())
		}
		v, any = e.last(f.secret.ID)
		return any && v.Offset == f.at.Offset && !v.Suspect && time.Since(v.Beat) < time.Second
	})
	if v.Table.Digest() != f.table.Digest() || v.Table.Len() != f.table.Len() {
		e.t.Fatalf("it vouches for a table of digest %s, not %s", v.Table.Digest(), f.table.Digest())
	}
	return v
}

func (e *edge) metric(name string) string {
	var b bytes.Buffer
	e.cfg.Metrics.WritePrometheus(&b)
	for line := range strings.Lines(b.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
