package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// gate scans with a key, or without one, and takes what it is told.
type gate struct {
	edge, key string
	client    *http.Client
}

// scan returns the answer's status, its word if it is a problem, and for how long to wait.
func (g gate) scan(t *testing.T, code string) (status int, word scanedge.ProblemType, wait int) {
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.edge+"/v1/scan/"+code, nil)
	if g.key != "" {
		req.Header.Set("Authorization", "Bearer "+g.key)
	}
	res, err := g.client.Do(req)
	if err != nil {
		t.Error(err)
		return 0, "", 0
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusTooManyRequests {
		if wait, err = strconv.Atoi(res.Header.Get("Retry-After")); err != nil || wait < 1 {
			t.Errorf("429 with Retry-After %q", res.Header.Get("Retry-After"))
		}
	}
	var p scanedge.Problem
	if res.StatusCode >= 400 && json.Unmarshal(body, &p) != nil {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	return res.StatusCode, p.Type, wait
}

// A fleet with limits: who scans without waiting gets what its key may have and no more, who tries codes is locked out for a while, with a
// key or without; and all along another gate, and a holder at the very same address, get every scan answered.
func TestLimits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Config{Exe: bin, Dir: t.TempDir(), Edges: 1, Subjects: 100, Limits: true, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	up := f.Up()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(client.CloseIdleConnections)
	with := func(key string) gate { return gate{up.Edges[0].Scan, key, client} }
	_, free := makeToken(t, up, `{"kind":"scan","name":"gateway","rate":0,"guard":false}`)
	eventually(t, "the gateway's key is known", func() bool { s, _, _ := with(free).scan(t, "demo-a:d000000001"); return s == 200 })

	stop, scans := make(chan struct{}), atomic.Int64{}
	var going sync.WaitGroup
	going.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if status, word, _ := with(free).scan(t, "demo-a:d000000001"); status != 200 {
				t.Errorf("the gateway: %d %s", status, word)
				return
			}
			scans.Add(1)
		}
	})
	defer going.Wait()
	defer close(stop)

	storms(t, with(up.ScannerKey))
	before := scans.Load()
	eventually(t, "the gateway goes on", func() bool { return scans.Load() > before+100 })
	isLockedOut(t, up, with(up.ScannerKey), "demo-a:nobody")
	if status, word, _ := with(up.ScannerKey).scan(t, "demo-a:d000000001"); word != scanedge.LockedOut {
		t.Errorf("a good code of who is locked out: %d %s", status, word)
	}
	isLockedOut(t, up, with(""), "demo-a:d000000001")
	p := enrolPhone(t, up, "demo-a", "d000000013")
	if status, word, _ := with("").scan(t, p.code()); status != 200 {
		t.Errorf("a holder where another is locked out: %d %s", status, word)
	}
	eventually(t, "its end", func() bool { s, _, _ := with(up.ScannerKey).scan(t, "demo-a:d000000001"); return s == 200 })
	eventually(t, "nobody is locked out", func() bool { return lockedOut(t, up) == 0 })
}

// storms scans without waiting from many connections, and checks that it gets its rate: 200 at once, and 100 a second.
func storms(t *testing.T, g gate) {
	t.Helper()
	var good, refused atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range 8 {
		wg.Go(func() {
			for i := 0; i < 100_000 && (refused.Load() < 1000 || good.Load() < 200); i++ {
				switch status, word, _ := g.scan(t, "demo-a:d000000013"); {
				case status == 200:
					good.Add(1)
				case word == scanedge.TooFast:
					refused.Add(1)
				default:
					t.Errorf("%d %s", status, word)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	t.Logf("without waiting: %d scans, %d refusals in %v", good.Load(), refused.Load(), took.Round(time.Millisecond))
	if may := 200 + 100*took.Seconds(); good.Load() < 200 || float64(good.Load()) > may || refused.Load() < 1000 {
		t.Errorf("%d scans of %.0f, %d refusals", good.Load(), may, refused.Load())
	}
}

// isLockedOut scans a code that is none of his, waiting a little where he is to, until he is locked out.
func isLockedOut(t *testing.T, up fleet.Up, g gate, code string) {
	t.Helper()
	slowed := false
	for range 10_000 {
		switch _, word, _ := g.scan(t, code); word {
		case scanedge.LockedOut:
			if !slowed || lockedOut(t, up) == 0 {
				t.Errorf("slowed before: %v; locked out by the metrics: %v", slowed, lockedOut(t, up))
			}
			return
		case scanedge.TooFast:
			slowed = true
			time.Sleep(20 * time.Millisecond)
		}
	}
	t.Fatal("never locked out")
}

func lockedOut(t *testing.T, up fleet.Up) float64 {
	m, err := fleet.ReadMetrics(t.Context(), up.Edges[0].Admin)
	if err != nil {
		t.Fatal(err)
	}
	return m["scanedge_locked_out"]
}
