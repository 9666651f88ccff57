package scanedge_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

func TestStatus(t *testing.T) {
	ask := func(h http.HandlerFunc) (scanedge.FleetStatus, error) {
		return scanedge.NewOrigin(serve(t, h), "admin-x").Status(t.Context())
	}
	s, err := ask(func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.RequestURI != "GET /v1/status" || r.Header.Get("Authorization") != "Bearer admin-x" {
			t.Errorf("%s %s as %s", r.Method, r.RequestURI, r.Header.Get("Authorization"))
		}
		say(200, "application/json", `{"state":"degraded","why":["edge a is silent"],"at":"2026-11-26T12:00:00Z","version":"1","issuers":[
			{"issuer":"gz","offset":7,"reached_all":5}],"edges":[{"edge":"a","state":"silent","reported_age_ms":4000,"new":1}]}`)(w, r)
	})
	if err != nil || s.State != scanedge.Degraded || s.Why[0] != "edge a is silent" || *s.Issuers[0].ReachedAll != 5 ||
		s.Edges[0].State != scanedge.EdgeSilent || *s.Edges[0].ReportedAgeMS != 4000 {
		t.Errorf("%+v %v", s, err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"no state": say(200, "application/json", `{}`), "no JSON": say(200, "text/html", `<p>healthy`), "refused": problem(scanedge.NoToken, ""),
	} {
		if s, err := ask(h); err == nil || s.State != "" || !strings.Contains(err.Error(), "ask for the fleet's status") {
			t.Errorf("%s: %+v %v", name, s, err)
		}
	}
}

// notReached is the answer to a wait that was in vain.
func notReached(w http.ResponseWriter) {
	p := scanedge.NewProblem(scanedge.NotReached, "")
	p.Reached, p.Missing = []string{"a"}, []string{"b"}
	p.Write(w)
}

// A wait goes on where the origin's ends, and says for whom.
func TestReached(t *testing.T) {
	var asked atomic.Int64
	var uris [2]string
	origin := scanedge.NewOrigin(serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		if uris[(n-1)%2] = r.RequestURI; n == 1 {
			notReached(w)
			return
		}
		say(200, "application/json", `{"issuer":"gz","offset":17,"reached":["a","b"],"missing":[]}`)(w, r)
	}), "push-x")
	r, err := origin.Reached(t.Context(), "gz", 17)
	if err != nil || r.Offset != 17 || !slices.Equal(r.Reached, []string{"a", "b"}) || asked.Load() != 2 {
		t.Errorf("%+v %v", r, err)
	}
	if want := "/v1/issuers/gz/offsets/17?edges=all&wait=30s"; uris[0] != want || uris[1] != want {
		t.Errorf("%q", uris)
	}
	if _, err := origin.Reached(t.Context(), "gz", 17, "a", "b"); err != nil || uris[0] != "/v1/issuers/gz/offsets/17?edges=a%2Cb&wait=30s" {
		t.Errorf("%q %v", uris, err)
	}
}

// When the time is over the error is the context's, and names who is missing.
func TestReachedInTime(t *testing.T) {
	origin := scanedge.NewOrigin(serve(t, func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil || wait > 300*time.Millisecond {
			t.Errorf("wait=%s", r.URL.Query().Get("wait"))
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
		notReached(w)
	}), "push-x")
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	_, err := origin.Reached(ctx, "gz", 17)
	var p *scanedge.Problem
	if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &p) && !slices.Equal(p.Missing, []string{"b"}) {
		t.Errorf("%v", err)
	}
}

// What no waiting mends is an error at once.
func TestReachedIsRefused(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"offset-ahead": problem(scanedge.OffsetAhead, ""), "no-token": problem(scanedge.NoToken, ""), "200": say(200, "text/html", "<p>"),
		"OK": say(200, "application/json", "{}"),
	} {
		_, err := scanedge.NewOrigin(serve(t, h), "push-x").Reached(t.Context(), "gz", 17)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "wait for the edges of gz") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := scanedge.NewOrigin("http://127.0.0.1:1", "x").Reached(t.Context(), "", 17); err == nil || !strings.Contains(err.Error(), "no issuer is named") {
		t.Error(err)
	}
}
