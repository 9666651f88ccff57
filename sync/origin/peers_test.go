package origin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// call makes a request to a handler.
func call(h http.Handler, method, path, token, body string, remote ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	for _, addr := range remote {
		req.RemoteAddr = addr
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func offerOf(t *testing.T, o *Origin) (offer snapshot.Offer) {
	t.Helper()
	rec := call(asEdge(t, o), "GET", "http://origin.example:7000/v1/issuers/demo-a/snapshot", "", "")
	if err := json.Unmarshal(rec.Body.Bytes(), &offer); err != nil || rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return offer
}

func TestOffer(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	const path = "/v1/issuers/demo-a/snapshot"
	if rec := call(asEdge(t, o), "GET", path, "", ""); rec.Code != 404 || !strings.Contains(rec.Body.String(), `"no-snapshot"`) {
		t.Errorf("before the first: %d %s", rec.Code, rec.Body)
	}
	if rec := call(asEdge(t, o), "GET", "/v1/issuers/demo-z/snapshot", "", ""); rec.Code != 404 || !strings.Contains(rec.Body.String(), `"unknown-issuer"`) {
		t.Errorf("another issuer: %d %s", rec.Code, rec.Body)
	}
	f := take(t, o)
	offer := offerOf(t, o)
	if string(offer.Manifest) != string(f.Manifest) || !slices.Equal(offer.Sources, []string{"https://origin.example:7000"}) {
		t.Errorf("%+v", offer)
	}
	file := path + "s/" + f.ID
	rec := call(asEdge(t, o), "GET", file, "", "")
	if b, err := os.ReadFile(f.Table); err != nil || rec.Code != 200 || rec.Body.String() != string(b) {
		t.Errorf("%d, %d bytes, %v", rec.Code, rec.Body.Len(), err)
	}
	peer := fmt.Sprintf(`{"offers":{"url":"https://192.0.2.9:7100","snapshots":{"demo-a":%q}}}`, f.ID)
	if rec := call(asEdge(t, o), "POST", reports, "", peer); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for _, c := range []struct{ method, path string }{{"PUT", path}, {"POST", file}, {"GET", reports}} {
		if rec := call(asEdge(t, o), c.method, c.path, "", ""); rec.Code != 405 || rec.Header().Get("Allow") == "" {
			t.Errorf("%s %s: %d %v", c.method, c.path, rec.Code, rec.Header())
		}
	}
	if got := offerOf(t, o).Sources; !slices.Equal(got, []string{"https://192.0.2.9:7100", "https://origin.example:7000"}) {
		t.Errorf("sources: %v", got)
	}
}

func TestPeersAreOfferedWhileTheySaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(metrics.NewSet())
		says := func(i int, snapshots map[string]string) {
			f.put(fmt.Sprint(i), access.Report{Offers: &access.Offers{URL: fmt.Sprintf("https://h:%d", i), Snapshots: snapshots}}, always)
		}
		for i := range 20 {
			says(i, map[string]string{"a": "1", "b": fmt.Sprint(i)})
		}
		f.put("none", access.Report{}, always)
		seen := map[string]bool{}
		for range 200 {
			got := f.sources("a", "1", time.Now())
			if len(got) != maxSources || len(slices.Compact(slices.Sorted(slices.Values(got)))) != maxSources {
				t.Fatalf("%v", got)
			}
			for _, u := range got {
				seen[u] = true
			}
		}
		if len(seen) != 20 {
			t.Errorf("only %d of 20 peers were ever offered", len(seen))
		}
		if got := f.sources("b", "7", time.Now()); !slices.Equal(got, []string{"https://h:7"}) {
			t.Errorf("of another issuer: %v", got)
		}
		time.Sleep(peerFor / 2)
		says(7, map[string]string{"b": "8"}) // it replaced its snapshot
		if got := append(f.sources("b", "7", time.Now()), f.sources("c", "1", time.Now())...); len(got) != 0 {
			t.Errorf("nobody has it, but %v", got)
		}
		time.Sleep(peerFor/2 + 1)
		if got := append(f.sources("b", "6", time.Now()), f.sources("b", "8", time.Now())...); !slices.Equal(got, []string{"https://h:7"}) {
			t.Errorf("after the others fell silent: %v", got)
		}
		f.forget("7")
		if got := f.sources("b", "8", time.Now()); len(got) != 0 {
			t.Errorf("of one that was revoked: %v", got)
		}
	})
}

func always() bool { return true }

func TestPeerURL(t *testing.T) {
	for _, c := range []struct{ url, caller, want string }{
		{"https://10.1.2.3:7100", "192.0.2.7:9", "https://10.1.2.3:7100"},
		{"https://edge.example:7100", "192.0.2.7:9", "https://edge.example:7100"},
		{"https://0.0.0.0:7100", "192.0.2.7:9", "https://192.0.2.7:7100"},
		{"https://[::]:7100", "[2001:db8::1]:9", "https://[2001:db8::1]:7100"},
		{"http://edge.example:7100", "192.0.2.7:9", ""}, {"https://[::]:7100", "nobody", ""}, {"https://edge.example", "192.0.2.7:9", ""}, {"ftp://edge.example:1", "192.0.2.7:9", ""},
		{"https://u:p@edge.example:1", "192.0.2.7:9", ""}, {"https://edge.example:1/x", "192.0.2.7:9", ""}, {"https://:1", "192.0.2.7:9", ""},
		{"https://edge.example:1?x", "192.0.2.7:9", ""}, {"", "192.0.2.7:9", ""}, {"https://%zz:1", "192.0.2.7:9", ""},
	} {
		if got, err := peerURL(c.url, c.caller); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v", c, got, err)
		}
	}
	o := open(t, t.TempDir(), "demo-a")
	for _, body := range []string{`{"offers":{}}`, `{"offers":{"url":"edge"}}`, `{"offers":{"url":"http://h:1","snapshots":{}}}`} {
		if rec := call(asEdge(t, o), "POST", reports, "", body); rec.Code != 400 || !strings.Contains(rec.Body.String(), "https://HOST:PORT") {
			t.Errorf("%.20s: %d %s", body, rec.Code, rec.Body)
		}
	}
}

func TestIssuersAreMadeWhileTheOriginRuns(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	put := func(id, body string) *httptest.ResponseRecorder {
		return call(o.Admin(), "PUT", "/v1/issuers/"+id, o.tokens.Admin, body)
	}
	rec := put("gz", `{"max_stale_s":90}`)
	if rec.Code != 201 || !strings.Contains(rec.Body.String(), `{"issuer":"gz","offset":1,"count":0,`) ||
		rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	pushOK(t, o, "gz", "subject,status\nx,red\n")
	if rec := put("gz", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"count":1`) {
		t.Errorf("again: %d %s", rec.Code, rec.Body)
	}
	if c, _ := o.control(enrol.Edge{Issuers: []string{enrol.All}}); len(c.Issuers) != 2 || c.Issuers[1].ID != "gz" || c.Issuers[1].MaxStaleSeconds != 90 {
		t.Errorf("an edge is told of %+v", c.Issuers)
	}
	for name, rec := range map[string]*httptest.ResponseRecorder{
		"a bad id": put("GZ", ""), "too long": put("a-name-of-17-byte", ""), "no JSON": put("sz", "x"), "unknown member": put("sz", `{"stale":1}`),
		"negative": put("sz", `{"max_stale_s":-1}`), "endless": put("sz", `{"max_stale_s":1e300}`),
	} {
		if rec.Code != 400 || !strings.Contains(rec.Body.String(), `"bad-request"`) {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	if rec := call(o.Admin(), "PUT", "/v1/issuers/sz", o.tokens.Push, ""); rec.Code != 401 {
		t.Errorf("with a push token: %d", rec.Code)
	}
	if rec := call(o.Admin(), "POST", "/v1/issuers/gz", o.tokens.Admin, ""); rec.Code != 405 {
		t.Errorf("a POST: %d", rec.Code)
	}
	var made atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			<-start
			if put("sz", "").Code == 201 {
				made.Add(1)
			}
			pushOK(t, o, "sz", "subject,status\nx,red\n")
		})
	}
	close(start)
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	o.Close()
	if rec := put("hz", ""); rec.Code != 503 {
		t.Errorf("once closed: %d %s", rec.Code, rec.Body)
	}
	if o = open(t, dir, "demo-a", "gz", "sz"); o.word("gz", "x") != "red" || o.word("sz", "x") != "red" {
		t.Error("they are not there after a restart")
	}
}

// An issuer that could not be made may be made later.
func TestAnIssuerThatIsNotMade(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	l, err := o.conn.Create(t.Context(), "gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), 0, []byte("another's")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if rec := call(o.Admin(), "PUT", "/v1/issuers/gz", o.tokens.Admin, ""); rec.Code != 503 || o.writer("gz") != nil {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	if err := l.Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if rec := call(o.Admin(), "PUT", "/v1/issuers/gz", o.tokens.Admin, ""); rec.Code != 503 || !strings.Contains(rec.Body.String(), "trimmed") {
		t.Errorf("with a log of which nothing is left: %d %s", rec.Code, rec.Body)
	}
}

// Many edges that start at once get the snapshot from each other: the origin sends it a few times only.
func TestEdgesFetchFromEachOther(t *testing.T) {
	const edges, subjects = 20, 2_000_000
	o := open(t, t.TempDir(), "demo-a")
	w := o.writers["demo-a"]
	deltas := make([]cache.Delta, 0, 1000)
	for i := range subjects {
		deltas = append(deltas, cache.Delta{Key: w.secret.Seed.Key(fmt.Append(nil, i)), Record: cache.Record(i)})
		if len(deltas) == cap(deltas) {
			w.table.PutMany(deltas)
			deltas = deltas[:0]
		}
	}
	f := take(t, o)
	origin := httptest.NewServer(asEdge(t, o))
	defer origin.Close()
	var registered sync.Once
	peered := make(chan struct{}) // closed when the first edge has said that it has the snapshot
	var fromOrigin atomic.Int64
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	// The origin's third transfer on ends only once there is a peer: else a machine that is slow to write may need more of them.
	client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.URL.Scheme = "http" // what they offer is at https
		res, err := transport.RoundTrip(req)
		if err == nil && "http://"+req.Host == origin.URL && res.StatusCode == http.StatusPartialContent && fromOrigin.Add(1) > 2 {
			res.Body = waitingBody{res.Body, peered}
		}
		return res, err
	})}
	var wg sync.WaitGroup
	stores := make([]*snapshot.Store, edges)
	for i := range edges {
		store, err := snapshot.Open(t.TempDir(), w.secret.Public())
		if err != nil {
			t.Fatal(err)
		}
		stores[i] = store
		server := snapshot.NewServer(2)
		peer := httptest.NewServer(server)
		defer peer.Close()
		wg.Go(func() {
			got, err := store.Fetch(t.Context(), func(ctx context.Context) (offer snapshot.Offer, err error) {
				err = request(ctx, "GET", origin.URL+"/v1/issuers/demo-a/snapshot", "", &offer)
				return offer, err
			}, f.Began.Offset, client, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			server.Offer(got)
			o.fleet.put(fmt.Sprint(i), access.Report{
				Offers: &access.Offers{URL: strings.Replace(peer.URL, "http:", "https:", 1), Snapshots: server.Offered()},
			}, always)
			registered.Do(func() { close(peered) })
		})
	}
	wg.Wait()
	for _, s := range stores {
		all := s.List()
		if len(all) != 1 || all[0].ID != f.ID {
			t.Fatalf("an edge has %v", all)
		}
		says, err := inspect(all[0].Table)
		if err != nil || says.Digest != w.table.Digest() || says.Subjects != subjects {
			t.Errorf("an edge has %d subjects with %s: %v", says.Subjects, says.Digest, err)
		}
	}
	var got cache.Table
	if err := stores[0].Load(stores[0].List()[0], &got); err != nil || got.Digest() != w.table.Digest() || got.Len() != subjects {
		t.Errorf("%d subjects with %s, want %s: %v", got.Len(), got.Digest(), w.table.Digest(), err)
	}
	n, bytes := o.snapshots.Served()
	t.Logf("%d edges, %d MB each: the origin sent it %d times, %d MB", edges, f.Size()>>20, n, bytes>>20)
	if n > 4 || bytes > 4*f.Size() {
		t.Errorf("the origin sent it %d times, %d bytes of %d", n, bytes, f.Size())
	}
}

func inspect(path string) (cache.Snapshot, error) {
	in, err := os.Open(path)
	if err != nil {
		return cache.Snapshot{}, err
	}
	defer in.Close()
	return cache.InspectSnapshot(in)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// waitingBody gives nothing until it may.
type waitingBody struct {
	io.ReadCloser
	until <-chan struct{}
}

func (b waitingBody) Read(p []byte) (int, error) {
	<-b.until
	return b.ReadCloser.Read(p)
}

func request(ctx context.Context, method, url, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, url, res.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(into)
}
