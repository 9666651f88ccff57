package origin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s", what)
		}
	}
}

// gate is a place in the middle of bodies, as the origin reads them: it counts those that were read up to there and are not yet
// answered, and keeps them there until it opens.
type gate struct {
	mark     int // bytes
	at, most atomic.Int64
	open     chan struct{}
}

type gated struct {
	io.ReadCloser
	gate *gate
	read int
}

func (g *gated) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	before := g.read
	g.read += n
	if before <= g.gate.mark && g.read > g.gate.mark {
		now := g.gate.at.Add(1)
		for m := g.gate.most.Load(); now > m && !g.gate.most.CompareAndSwap(m, now); m = g.gate.most.Load() {
		}
		<-g.gate.open
	}
	return n, err
}

// serve serves the origin's API with a gate.
func (g *gate) serve(t *testing.T, o *Origin) string {
	api := o.API()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body := &gated{ReadCloser: req.Body, gate: g}
		req.Body = body
		api.ServeHTTP(rw, req)
		if body.read > g.mark {
			g.at.Add(-1)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// send pushes over a connection of its own.
func send(o *Origin, url string, body io.Reader) (status int, answer string) {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/issuers/demo-a/deltas", body)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+o.tokens.Push)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

const shortRow = len("d000000000,red\n")

func shortRows(n int) []byte {
	var b bytes.Buffer
	b.WriteString("subject,status\n")
	for i := range n {
		fmt.Fprintf(&b, "d%09d,red\n", i)
	}
	return b.Bytes()
}

// However many large pushes come at once, so many are read beyond what a smaller place holds, and no more. Small ones go on meanwhile.
func TestLargePushesShareMemory(t *testing.T) {
	for _, c := range []struct {
		size               string
		rows, mark, places int
	}{
		{"medium", 40_000, smallPush + slack + 5000, mediumPlaces},
		{"large", 100_000, mediumPush + slack + 5000, largePlaces},
	} {
		t.Run(c.size, func(t *testing.T) {
			o := open(t, t.TempDir(), "demo-a")
			g := &gate{mark: c.mark * shortRow, open: make(chan struct{})}
			url, body := g.serve(t, o), shortRows(c.rows)
			open := sync.OnceFunc(func() { close(g.open) })
			t.Cleanup(open) // before the server waits for its requests
			var wg sync.WaitGroup
			for range c.places + 4 {
				wg.Go(func() {
					if status, answer := send(o, url, bytes.NewReader(body)); status != http.StatusOK {
						t.Errorf("%d %s", status, answer)
					}
				})
			}
			eventually(t, "as many read on as there are places, and the others waiting", func() bool {
				return int(g.at.Load()) == c.places && o.places.waiting.Load() == 4
			})
			if status, answer := send(o, url, bytes.NewReader(shortRows(smallPush))); status != http.StatusOK {
				t.Errorf("a small push meanwhile: %d %s", status, answer)
			}
			open()
			wg.Wait()
			if most := int(g.most.Load()); most != c.places {
				t.Errorf("%d were held at once, not %d", most, c.places)
			}
			if n := len(o.places.medium) + len(o.places.large) + int(o.places.waiting.Load()); n != 0 {
				t.Errorf("%d places are held when all is done", n)
			}
		})
	}
}

// occupy takes all large places but some.
func occupy(t *testing.T, o *Origin, but int) {
	for range largePlaces - but {
		o.places.large <- struct{}{}
	}
	t.Cleanup(func() {
		for range largePlaces - but {
			<-o.places.large
		}
	})
}

// A push that waits for a place goes away with its pusher, and leaves nothing behind.
func TestAPusherWhoWaitsMayHangUp(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	occupy(t, o, 0)
	ctx, cancel := context.WithCancel(t.Context())
	rec := make(chan *httptest.ResponseRecorder)
	go func() {
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/issuers/demo-a/deltas", bytes.NewReader(shortRows(70_000)))
		req.Header.Set("Authorization", "Bearer "+o.tokens.Push)
		r := httptest.NewRecorder()
		o.API().ServeHTTP(r, req)
		rec <- r
	}()
	eventually(t, "waiting", func() bool { return o.places.waiting.Load() == 1 })
	cancel()
	if r := <-rec; !strings.Contains(r.Body.String(), string(scanedge.BodyCut)) {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if n := len(o.places.medium); n != 0 || o.places.waiting.Load() != 0 {
		t.Errorf("%d medium places are held", n)
	}
}

func TestAPushThatGetsNoPlaceIsToComeAgain(t *testing.T) {
	defer func(d time.Duration) { placeWithin = d }(placeWithin)
	placeWithin = 50 * time.Millisecond
	o := open(t, t.TempDir(), "demo-a")
	occupy(t, o, 0)
	rec := post(o, "demo-a", bytes.NewReader(shortRows(70_000)))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `"busy"`) {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if n := len(o.places.medium); n != 0 {
		t.Errorf("%d medium places are held", n)
	}
}

// dribble is a body whose rows come fast, and from one on slowly, without end.
type dribble struct {
	fast *bytes.Reader
	n    int
}

func (d *dribble) Read(p []byte) (int, error) {
	if d.fast.Len() > 0 {
		return d.fast.Read(p)
	}
	time.Sleep(5 * time.Millisecond)
	d.n++
	return copy(p, fmt.Sprintf("e%09d,red\n", d.n)), nil
}

// A pusher who sends just enough not to be silent does not keep a place for ever.
func TestASlowPusherGivesItsPlaceUp(t *testing.T) {
	defer func(d time.Duration, rate int64) { slowBody, leastRate = d, rate }(slowBody, leastRate)
	slowBody, leastRate = 4*time.Second, 1<<20
	o := open(t, t.TempDir(), "demo-a")
	occupy(t, o, 1)
	s := httptest.NewServer(o.API())
	defer s.Close()
	slow := make(chan string)
	go func() {
		status, answer := send(o, s.URL, &dribble{fast: bytes.NewReader(shortRows(100_000))})
		slow <- fmt.Sprint(status, answer)
	}()
	eventually(t, "with the last place", func() bool { return len(o.places.large) == largePlaces })
	if status, answer := send(o, s.URL, bytes.NewReader(shortRows(70_000))); status != http.StatusOK {
		t.Errorf("after the slow one: %d %s", status, answer)
	}
	if how := <-slow; strings.HasPrefix(how, "200") {
		t.Errorf("the slow one: %s", how)
	}
}

// Nor does a replacement that trickles keep others from theirs: they are told to come again, and then find the place free.
func TestASlowReplacementGivesItsPlaceUp(t *testing.T) {
	defer func(d time.Duration, rate int64) { slowBody, leastRate = d, rate }(slowBody, leastRate)
	slowBody, leastRate = time.Second, 1<<20
	o := open(t, t.TempDir(), "demo-a")
	s := httptest.NewServer(o.API())
	defer s.Close()
	const path = "/v1/issuers/demo-a/deltas?replace=1&dry_run=1"
	slow := make(chan string, 1)
	go func() {
		req, err := http.NewRequest("POST", s.URL+path, &dribble{fast: bytes.NewReader(shortRows(1000))})
		if err != nil {
			slow <- err.Error()
			return
		}
		req.Header.Set("Authorization", "Bearer "+o.tokens.Push)
		req.Header.Set("Content-Type", "text/csv")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			slow <- err.Error()
			return
		}
		res.Body.Close()
		slow <- res.Status
	}()
	eventually(t, "the slow one under way", func() bool { return len(o.thinking) == 1 })
	rec := callAPI(t, o, o.tokens.Push, "POST", path, string(shortRows(1)), nil, "Content-Type", "text/csv")
	if refused(t, rec, scanedge.Busy); rec.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to come again")
	}
	select {
	case how := <-slow:
		if strings.HasPrefix(how, "200") {
			t.Errorf("the slow one: %s", how)
		}
	case <-time.After(30 * time.Second):
		s.CloseClientConnections()
		t.Fatal("the slow one holds its place for ever")
	}
	if rec := callAPI(t, o, o.tokens.Push, "POST", path, string(shortRows(1)), nil, "Content-Type", "text/csv"); rec.Code != 200 {
		t.Errorf("after the slow one: %d %s", rec.Code, rec.Body)
	}
}
