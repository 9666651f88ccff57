package origin

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
)

// What is said of a subject is the last that was pushed of it, as far as the log goes.
func TestSubjectsAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	o := open(t, t.TempDir(), "demo-a")
	limited(t, o.writers["demo-a"], scanedge.MaxChange{Bad: 1, All: 1})
	w := o.writers["demo-a"]
	model, pushed, noted := statuses{}, map[string]uint64{}, map[string]string{}
	trimmed := uint64(0)
	for round := range 30 {
		csv, note := randomCSV(r, 10, 40), fmt.Sprint("round ", round)
		model.push(csv)
		receipt := pushOK(t, o, "demo-a", csv, "Scanedge-Note", fmt.Sprint("round%20", round))
		for _, line := range strings.Split(csv, "\n")[1:] {
			subject, _, _ := strings.Cut(line, ",")
			pushed[subject], noted[subject] = receipt.Offset, note
		}
		if round == 10 || round == 15 {
			take(t, o)
			trimmed = w.snapshots.store.List()[len(w.snapshots.store.List())-1].Began.Offset * uint64(round/15)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(pushed)) {
		if subject == "" {
			continue
		}
		is, there := model[subject]
		var s scanedge.SubjectState
		rec := callAPI(t, o, o.tokens.Admin, "GET", "/v1/issuers/demo-a/subjects/"+subject, "", nil)
		if !there {
			if rec.Code != 404 || !strings.Contains(rec.Body.String(), `"unknown-subject"`) ||
				pushed[subject] > trimmed != strings.Contains(rec.Body.String(), fmt.Sprintf("removed at offset %d", pushed[subject])) {
				t.Errorf("%s: %d %s", subject, rec.Code, rec.Body)
			}
			continue
		}
		unmarshal(t, rec.Body.Bytes(), &s)
		if fmt.Sprint(s.Status, " ", s.Reason) != is || s.Offset != w.past.last || (s.Pushed != nil) != (pushed[subject] > trimmed) {
			t.Errorf("%s is %s, pushed at %d: %s", subject, is, pushed[subject], rec.Body)
		}
		if s.Pushed != nil && (s.Pushed.Offset != pushed[subject] || s.Pushed.Note != noted[subject] || s.Pushed.Pusher != "push") {
			t.Errorf("%s was pushed at %d: %+v", subject, pushed[subject], s.Pushed)
		}
	}
}

func TestSubjectRefusals(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushOK(t, o, "demo-a", "subject,status,until\n广州/1,green,2021-01-01T00:00:00Z\n")
	var s scanedge.SubjectState
	callAPI(t, o, o.tokens.Admin, "GET", "/v1/issuers/demo-a/subjects/%E5%B9%BF%E5%B7%9E%2F1", "", &s)
	if s.Subject != "广州/1" || s.Status != scanedge.Lapsed || s.Until != "2021-01-01T00:00:00Z" {
		t.Errorf("%+v", s)
	}
	pushOK(t, o, "demo-a", "subject,status\ntwice,red\ntwice,yellow\n")
	if callAPI(t, o, o.tokens.Admin, "GET", "/v1/issuers/demo-a/subjects/twice", "", &s); s.Status != scanedge.Yellow {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		token, method, path string
		want                scanedge.ProblemType
	}{
		{"", "GET", "demo-a/subjects/x", scanedge.NoToken}, {o.tokens.Push, "GET", "demo-a/subjects/x", scanedge.NoToken},
		{o.tokens.Admin, "GET", "demo-z/subjects/x", scanedge.UnknownIssuer}, {o.tokens.Admin, "GET", "demo-a/subjects/x", scanedge.UnknownSubject},
		{o.tokens.Admin, "GET", "demo-a/subjects/" + strings.Repeat("x", 65), scanedge.BadRequest},
		{o.tokens.Admin, "GET", "demo-a/subjects/a%0Ab", scanedge.BadRequest}, {o.tokens.Admin, "POST", "demo-a/subjects/x", scanedge.MethodNotAllowed},
	} {
		var p scanedge.Problem
		if callAPI(t, o, c.token, c.method, "/v1/issuers/"+c.path, "", &p); p.Type != c.want {
			t.Errorf("%+v: %+v", c, p)
		}
	}
	for range searches {
		o.searching <- struct{}{}
	}
	var p scanedge.Problem
	if callAPI(t, o, o.tokens.Admin, "GET", "/v1/issuers/demo-a/subjects/x", "", &p); p.Type != scanedge.Busy {
		t.Errorf("%+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, p := o.writers["demo-a"].subject(ctx, "x"); p == nil || p.Type != scanedge.LogUnavailable {
		t.Errorf("after the asker hung up: %+v", p)
	}
}
