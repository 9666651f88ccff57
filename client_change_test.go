package scanedge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
)

func TestChanges(t *testing.T) {
	want := scanedge.Preview{Offset: 7, Digest: "d1", Figures: scanedge.Figures{Before: 2, Removed: 1, Changed: map[scanedge.Status]int{scanedge.Red: 1}}}
	var got []string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header
		got = append(got, strings.Join([]string{r.Method, r.RequestURI, h.Get("Content-Type"), h.Get("If-Match"), h.Get("Scanedge-Digest"),
			h.Get("Scanedge-Run"), h.Get("Scanedge-Note"), string(body)}, "|"))
		_ = json.NewEncoder(w).Encode(want)
	})
	o := scanedge.NewOrigin(base, "token")
	for _, ask := range []func() (scanedge.Preview, error){
		func() (scanedge.Preview, error) {
			return o.DryRun(t.Context(), "a", []scanedge.Delta{{Subject: "x", Remove: true}})
		},
		func() (scanedge.Preview, error) {
			return o.DryRunReader(t.Context(), "a", scanedge.CSV, strings.NewReader("csv"), scanedge.WithRun("r"))
		},
		func() (scanedge.Preview, error) {
			return o.PreviewReplace(t.Context(), "a", scanedge.CSV, strings.NewReader("csv"))
		},
	} {
		if p, err := ask(); err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if a, err := o.Replace(t.Context(), "a", scanedge.CSV, strings.NewReader("csv"), want, scanedge.WithNote("n")); err != nil || a.Offset != 7 {
		t.Errorf("%+v, %v", a, err)
	}
	for i, line := range []string{
		`POST|/v1/issuers/a/deltas?dry_run=1|application/x-ndjson|||||{"subject":"x","remove":true}` + "\n",
		`POST|/v1/issuers/a/deltas?dry_run=1|text/csv|||r||csv`,
		`POST|/v1/issuers/a/deltas?replace=1&dry_run=1|text/csv|||||csv`,
		`POST|/v1/issuers/a/deltas?replace=1|text/csv|"7"|d1||n|csv`,
	} {
		if got[i] != line {
			t.Errorf("sent %q, not %q", got[i], line)
		}
	}
	if _, err := o.DryRun(t.Context(), "", nil); err == nil || len(got) != 4 {
		t.Errorf("no issuer: %v", err)
	}
	if _, err := o.Replace(t.Context(), "a", scanedge.CSV, nil, want, scanedge.WithNote("a\nb")); err == nil || len(got) != 4 {
		t.Errorf("a bad note: %v", err)
	}
}

// What a held push is told comes whole: its id and its figures.
func TestAPushIsHeld(t *testing.T) {
	figures := scanedge.Figures{Before: 10, Changed: map[scanedge.Status]int{scanedge.Red: 5, scanedge.Void: 1, scanedge.Green: 1}, Removed: 1}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		p := scanedge.NewProblem(scanedge.NeedsApproval, "too much")
		p.ID, p.Figures = "a-1", &figures
		p.Write(w)
	})
	_, err := scanedge.NewOrigin(base, "token").PushReader(t.Context(), "a", scanedge.NDJSON, new(bytes.Reader))
	p := (*scanedge.Problem)(nil)
	if !errors.As(err, &p) || p.Type != scanedge.NeedsApproval || p.Status != http.StatusConflict || p.ID != "a-1" || !reflect.DeepEqual(*p.Figures, figures) {
		t.Fatalf("%+v, %v", p, err)
	}
	if figures.Bad() != 6 || figures.All() != 8 || figures.Share() != 0.8 || (scanedge.Figures{}).Share() != 0 {
		t.Errorf("%d, %d, %v", figures.Bad(), figures.All(), figures.Share())
	}
	if got := figures.String(); got != "0 added, 1 to green, 5 to red, 1 to void, 1 removed, 0 unchanged; 80.0 % of 10 change" {
		t.Error(got)
	}
	sum := figures.Plus(scanedge.Figures{Before: 9, Added: 2, Changed: map[scanedge.Status]int{scanedge.Red: 1}})
	if sum.Before != 10 || sum.Added != 2 || sum.Changed[scanedge.Red] != 6 || figures.Changed[scanedge.Red] != 5 {
		t.Errorf("%+v of %+v", sum, figures)
	}
}
