package snapshot

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/issuer"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random fetches")

// moods are what a source may do with a request, by chance. Each says whether it can cost a part.
var moods = []func(m *mirror, rw http.ResponseWriter, from int, r *rand.Rand) bool{
	func(m *mirror, rw http.ResponseWriter, from int, _ *rand.Rand) bool { // honest
		m.give(rw, from, m.data[from:])
		return false
	},
	func(m *mirror, rw http.ResponseWriter, from int, r *rand.Rand) bool { // ends early
		m.give(rw, from, m.data[from:from+r.IntN(len(m.data)-from)])
		return true
	},
	func(m *mirror, rw http.ResponseWriter, from int, r *rand.Rand) bool { // lies, and may end early
		b := m.spoiled(from, from+r.IntN(min(len(m.data)-from, 20_000)))
		m.give(rw, from, b[:1+r.IntN(len(b))])
		return true
	},
	func(_ *mirror, rw http.ResponseWriter, _ int, r *rand.Rand) bool {
		rw.WriteHeader([]int{503, 404, 500, 200, 206}[r.IntN(5)])
		return false
	},
}

// Of sources that lie, cut and refuse at random, with restarts between, the exact file comes all the same, and each lie, cut or
// restart costs a part at most.
func TestRandomFetches(t *testing.T) {
	t.Logf("-seed=%d", *seed)
	f, want, data := original(t, 20_000, 3)
	largest := slices.MaxFunc(f.Parts.Parts, func(a, b issuer.Part) int { return int(a.Size - b.Size) }).Size
	for i := range uint64(15) {
		r := rand.New(rand.NewPCG(*seed, i))
		var mu sync.Mutex // r and costs
		var costs int64
		var urls []string
		for range 1 + r.IntN(4) {
			urls = append(urls, newMirror(t, data, func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
				mu.Lock()
				defer mu.Unlock()
				if moods[r.IntN(len(moods))](m, rw, from, r) {
					costs++
				}
			}).url)
		}
		client, read := newCounter(t)
		dir := t.TempDir()
		for done := false; !done; {
			mu.Lock()
			life := time.Duration(1+r.IntN(40)) * time.Millisecond
			costs++
			mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), life)
			s := open(t, dir)
			got, err := s.Fetch(ctx, offerOf(f, urls...), 0, client, quiet)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if done = err == nil; done {
				load(t, s, got, want)
			} else if len(s.List()) != 0 {
				t.Fatal("a snapshot is there though its fetch failed")
			}
		}
		mu.Lock()
		if n := read.read.Load(); n > int64(len(data))+costs*(largest+int64(chunk)) {
			t.Errorf("fetch %d: %d bytes were fetched of %d, with %d lies, cuts and restarts", i, n, len(data), costs)
		}
		mu.Unlock()
	}
}
