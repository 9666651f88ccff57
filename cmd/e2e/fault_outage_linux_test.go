package e2e

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// The origin is gone: edges serve on, their age grows, past the lease answers are marked, past the issuer's max_stale they are
// refused; the origin is back: all recover by themselves.
func TestFaultOutage(t *testing.T) {
	o := startOrigin(t, bin, "--issuers", "gz")
	o.addIssuer(t, "strict", `{"max_stale_s":5}`)
	all := startEdges(t, 4, bin, o)
	for _, issuer := range []string{"gz", "strict"} {
		awaitOffset(t, all, issuer, o.mustPush(t, issuer, "first", rows("s", 0, 10, 1)).Offset)
	}
	o.kill()
	began := time.Now()
	for _, e := range all {
		watchAges(t, e, o, began)
	}
	o.start()
	for _, issuer := range []string{"gz", "strict"} {
		awaitOffset(t, all, issuer, o.mustPush(t, issuer, "second", rows("s", 0, 10, 2)).Offset)
		mustAllBe(t, all, o, issuer, "s", 0, 10, 2)
	}
}

// watchAges looks at an edge until its answers for issuer strict are refused, 5 s after the origin went.
func watchAges(t *testing.T, edge, origin *node, gone time.Time) {
	t.Helper()
	var age int64
	for refused := false; !refused; time.Sleep(50 * time.Millisecond) {
		for _, issuer := range []string{"gz", "strict"} {
			a := scanOnce(t, edge, origin, code(issuer, "s", 1))
			if issuer == "strict" && a.is(scanedge.TooStale) {
				if wait, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != http.StatusServiceUnavailable || err != nil || wait < 1 {
					t.Errorf("%s: %v, Retry-After %q", edge.name, a, a.header.Get("Retry-After"))
				}
				if time.Since(gone) < 4*time.Second {
					t.Errorf("%s: refused %v after the origin went", edge.name, time.Since(gone))
				}
				refused = true
				continue
			}
			v, err := edge.scanner(origin).Scan(t.Context(), code("gz", "s", 1))
			if err != nil || v.AgeMS == nil || numberOf(v.Until) != 1 {
				t.Fatalf("%s: %+v, %v", edge.name, v, err)
			}
			if *v.AgeMS < age-1500 || v.Stale != (*v.AgeMS > lease.Milliseconds()) {
				t.Errorf("%s: %+v with age %d, the one before had %d", edge.name, v, *v.AgeMS, age)
			}
			age = *v.AgeMS
		}
		if time.Since(gone) > 20*time.Second {
			t.Fatalf("%s never refused to answer for an issuer whose max_stale is 5 s", edge.name)
		}
	}
	if shown := edge.metric("scanedge_age_ms", "gz"); shown < float64(age) {
		t.Errorf("%s: metric age %v, an answer said %d before", edge.name, shown, age)
	}
}

func scanOnce(t *testing.T, edge, origin *node, code string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a, err := call(ctx, http.MethodGet, edge.at.Scan+"/v1/scan/"+code, origin.scannerKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
