package snapshot

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/issuer"
)

func source(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func sumOfZeros(n int) issuer.Hash { return sha256.Sum256(make([]byte, n)) }

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestServer(t *testing.T) {
	s := NewServer(1)
	store := open(t, t.TempDir())
	var all []File
	var paths []string
	for i := range 3 {
		f := write(t, store, table(100, i+1), "")
		all, paths = append(all, f), append(paths, "/v1/issuers/demo-a/snapshots/"+f.ID)
	}
	expect := func(when string, codes ...int) {
		t.Helper()
		for i, code := range codes {
			rec := get(s, "GET", paths[i])
			if rec.Code != code || rec.Code == 200 && rec.Body.Len() != int(all[i].Size()) {
				t.Errorf("%s: snapshot %d: %d with %d bytes, want %d", when, i, rec.Code, rec.Body.Len(), code)
			}
		}
	}
	expect("nothing is offered", 404, 404, 404)
	s.Offer(all[0])
	expect("the first", 200, 404, 404)
	s.Offer(all[1])
	s.Offer(all[1])
	expect("the second, twice", 200, 200, 404)
	s.Offer(all[2])
	expect("the third", 404, 200, 200)
	if got := s.Offered(); len(got) != 1 || got["demo-a"] != all[2].ID {
		t.Errorf("offered: %v", got)
	}
	if err := store.Remove(all[1]); err != nil {
		t.Fatal(err)
	}
	expect("the second is removed", 404, 404, 200)
	rec := get(s, "GET", paths[2], "Range", "bytes=100-199")
	if rec.Code != 206 || rec.Body.String() != string(readFile(t, all[2].Table)[100:200]) {
		t.Errorf("a range: %d, %d bytes", rec.Code, rec.Body.Len())
	}
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"PUT", paths[2], 405}, {"HEAD", paths[2], 200}, {"GET", "/v1/issuers/demo-b/snapshots/" + all[2].ID, 404},
		{"GET", "/v1/issuers/demo-a/snapshots/", 404}, {"GET", "/v1/issuers/demo-b/snapshots/", 404}, {"GET", "/", 404},
		{"GET", paths[2] + "/", 404}, {"GET", "/v1/issuers/demo-a/snapshots/../" + all[2].ID, 404},
	} {
		if rec := get(s, c.method, c.path); rec.Code != c.code {
			t.Errorf("%s %s: %d", c.method, c.path, rec.Code)
		}
	}
}

// offerZeros offers a snapshot that is too large for the buffers between server and client.
func offerZeros(t testing.TB, s *Server) (path string) {
	t.Helper()
	f := File{Snapshot: issuer.Snapshot{Issuer: "demo-a"}, ID: "0011", Table: t.TempDir() + "/zeros"}
	writeFile(t, f.Table, nil)
	if err := os.Truncate(f.Table, 256<<20); err != nil {
		t.Fatal(err)
	}
	s.Offer(f)
	return "/v1/issuers/demo-a/snapshots/0011"
}

func TestAServerIsBusy(t *testing.T) {
	s := NewServer(2)
	path := offerZeros(t, s)
	url := source(t, s)
	var under []*http.Response
	for range 2 {
		res, err := http.Get(url + path)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		under = append(under, res)
	}
	res, err := http.Get(url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var p scanedge.Problem
	err = json.NewDecoder(res.Body).Decode(&p)
	if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || p.Type != scanedge.Busy {
		t.Errorf("%s %v %+v, %v", res.Status, res.Header, p, err)
	}
	for _, res := range under {
		res.Body.Close()
	}
	for { // a place is free again
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == 200 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Who asks and then does not read holds no place for ever.
func TestAServerHangsUpOnWhoDoesNotRead(t *testing.T) {
	defer func(d time.Duration) { chunkWithin = d }(chunkWithin)
	chunkWithin = 100 * time.Millisecond
	s := NewServer(1)
	path := offerZeros(t, s)
	ended := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		s.ServeHTTP(rw, req)
		close(ended)
	}))
	defer h.Close()
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the transfer still has its place")
	}
	if _, n := s.Served(); n >= 256<<20 {
		t.Errorf("%d bytes were sent to nobody", n)
	}
}
