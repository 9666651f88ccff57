package origin

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// few is a max_change by which three of ten subjects are too many.
var few = scanedge.MaxChange{Bad: 0.2, All: 0.2, Floor: 1}

// rows is a CSV of subjects x0, x1, … with a status.
func rows(n int, status string) string {
	var b strings.Builder
	b.WriteString("subject,status\n")
	for i := range n {
		fmt.Fprintf(&b, "x%d,%s\n", i, status)
	}
	return b.String()
}

// withTen is an origin of a folder with ten green subjects, where all that was pushed was so long ago.
func withTen(t *testing.T, dir string) *Origin {
	t.Helper()
	o := open(t, dir, "demo-a")
	limited(t, o.writers["demo-a"], few)
	pushOK(t, o, "demo-a", rows(10, "green"))
	return again(t, o)
}

// again is the origin started again from its folder.
func again(t *testing.T, o *Origin) *Origin {
	t.Helper()
	o.Close()
	return open(t, o.cfg.Dir, "demo-a")
}

func heldPushOf(t *testing.T, o *Origin, body string, header ...string) scanedge.Problem {
	t.Helper()
	var p scanedge.Problem
	rec := callAPI(t, o, o.tokens.Push, http.MethodPost, "/v1/issuers/demo-a/deltas", body, &p, header...)
	if rec.Code != http.StatusConflict || p.Type != scanedge.NeedsApproval || p.ID == "" || p.Figures == nil {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return p
}

func heldList(t *testing.T, o *Origin) []scanedge.Held {
	t.Helper()
	var l struct{ Held []scanedge.Held }
	callAPI(t, o, o.tokens.Admin, http.MethodGet, "/v1/issuers/demo-a/held", "", &l)
	return l.Held
}

func TestAHeldPushIsApprovedByAnotherToken(t *testing.T) {
	o := withTen(t, t.TempDir())
	body, note := rows(3, "red"), []string{"Idempotency-Key", "k", "Scanedge-Note", "lot%207"}
	p := heldPushOf(t, o, body, note...)
	if want := (scanedge.Figures{Before: 10, Changed: map[scanedge.Status]int{scanedge.Red: 3}}); !reflect.DeepEqual(*p.Figures, want) {
		t.Errorf("figures %+v", *p.Figures)
	}
	if again := heldPushOf(t, o, body, note...); again.ID != p.ID {
		t.Errorf("sent again it is %s, not %s", again.ID, p.ID)
	}
	if rec := post(o, "demo-a", strings.NewReader(rows(4, "red")), "Idempotency-Key", "k"); rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("another push with the key: %d %s", rec.Code, rec.Body)
	}
	path := "/v1/issuers/demo-a/held/" + p.ID
	o = again(t, o) // a held push survives
	pushOK(t, o, "demo-a", "subject,status\nx0,red\n")
	var h scanedge.Held
	if rec := callAPI(t, o, o.tokens.Push, http.MethodGet, path, "", &h); rec.Code != http.StatusOK || h.Figures.Unchanged != 1 ||
		h.Figures.Bad() != 2 || h.Pusher != "push" || h.Note != "lot 7" || h.Key != "k" || h.Deltas != 3 || h.Issuer != "demo-a" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	var problem scanedge.Problem
	if rec := callAPI(t, o, o.tokens.Push, http.MethodPost, path+"/approve", "", &problem); rec.Code != 403 || problem.Type != scanedge.SameToken {
		t.Errorf("the pusher approves: %d %s", rec.Code, rec.Body)
	}
	if o.word("demo-a", "x1") != "green" {
		t.Error("it was applied")
	}
	var applied scanedge.Applied
	if rec := callAPI(t, o, o.tokens.Admin, http.MethodPost, path+"/approve", "", &applied); rec.Code != 200 || applied.Figures.Bad() != 2 ||
		o.word("demo-a", "x1") != "red" {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec := callAPI(t, o, o.tokens.Admin, http.MethodPost, path+"/approve", "", &problem); rec.Code != 404 || problem.Type != scanedge.UnknownHeld {
		t.Errorf("once more: %d %s", rec.Code, rec.Body)
	}
	rec := post(o, "demo-a", strings.NewReader(body), note...) // the pusher goes on: its key is known
	if rec.Code != 200 || rec.Header().Get("Idempotency-Replayed") != "true" || !strings.Contains(rec.Body.String(), fmt.Sprint(applied.Offset)) {
		t.Errorf("the push again: %d %s", rec.Code, rec.Body)
	}
	var s scanedge.SubjectState
	callAPI(t, o, o.tokens.Admin, http.MethodGet, "/v1/issuers/demo-a/subjects/x1", "", &s)
	if s.Pushed == nil || s.Pushed.Pusher != "push" || s.Pushed.Approver != "admin" || s.Pushed.Note != "lot 7" || s.Pushed.Offset != applied.Offset {
		t.Errorf("%+v", s.Pushed)
	}
	if files, _ := os.ReadDir(filepath.Join(o.cfg.Dir, "held", "demo-a")); len(files) != 0 || len(heldList(t, o)) != 0 {
		t.Errorf("%d files are left", len(files))
	}
}

// A push that was approved and stored just before the origin was killed is not applied again, with or without a key of its own.
func TestAnApprovalIsAppliedOnce(t *testing.T) {
	for _, key := range []string{"", "k"} {
		o := withTen(t, t.TempDir())
		var header []string
		if key != "" {
			header = []string{"Idempotency-Key", key}
		}
		p := heldPushOf(t, o, rows(5, "red"), header...)
		file := filepath.Join(o.cfg.Dir, "held", "demo-a", p.ID)
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(info, err)
		}
		copyFile(t, file, file+".kept")
		path := "/v1/issuers/demo-a/held/" + p.ID + "/approve"
		var first, second scanedge.Applied
		callAPI(t, o, o.tokens.Admin, http.MethodPost, path, "", &first)
		pushOK(t, o, "demo-a", rows(1, "green"))
		o.Close()
		if err := os.Rename(file+".kept", file); err != nil { // as if it had been killed in between
			t.Fatal(err)
		}
		o = open(t, o.cfg.Dir, "demo-a")
		callAPI(t, o, o.tokens.Admin, http.MethodPost, path, "", &second)
		if first.Offset == 0 || second.Offset != first.Offset || o.word("demo-a", "x0") != "green" {
			t.Errorf("%+v, then %+v; x0 is %s", first, second, o.word("demo-a", "x0"))
		}
		o.Close()
	}
}

func TestManyApproveAtOnce(t *testing.T) {
	o := withTen(t, t.TempDir())
	p := heldPushOf(t, o, rows(5, "red"))
	var wg sync.WaitGroup
	codes := make([]int, 16)
	for i := range codes {
		wg.Go(func() {
			codes[i] = callAPI(t, o, o.tokens.Admin, http.MethodPost, "/v1/issuers/demo-a/held/"+p.ID+"/approve", "", nil).Code
		})
	}
	wg.Wait()
	ok := 0
	for _, c := range codes {
		switch c {
		case 200:
			ok++
		case 404, 503:
		default:
			t.Errorf("status %d", c)
		}
	}
	if ok != 1 {
		t.Errorf("%d approvals succeeded: %v", ok, codes)
	}
}

func TestAHeldPushKeepsItsIfMatch(t *testing.T) {
	o := withTen(t, t.TempDir())
	last := o.writers["demo-a"].past.lastBatch()
	p := heldPushOf(t, o, rows(5, "red"), "If-Match", fmt.Sprint(last))
	pushOK(t, o, "demo-a", "subject,status\nnew,green\n")
	var problem scanedge.Problem
	path := "/v1/issuers/demo-a/held/" + p.ID
	if callAPI(t, o, o.tokens.Admin, http.MethodPost, path+"/approve", "", &problem); problem.Type != scanedge.OffsetMoved {
		t.Errorf("%+v", problem)
	}
	if l := heldList(t, o); len(l) != 1 || l[0].ID != p.ID {
		t.Errorf("%+v", l)
	}
	if rec := callAPI(t, o, o.tokens.Admin, http.MethodDelete, path, "", nil); rec.Code != http.StatusNoContent {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := callAPI(t, o, o.tokens.Admin, http.MethodDelete, path, "", nil); rec.Code != 404 || len(heldList(t, o)) != 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	o = again(t, o)
	if len(heldList(t, o)) != 0 {
		t.Error("it is back")
	}
}

// Splitting does not help: neither into pieces that say so, nor into pushes that don't.
func TestPiecesCountTogether(t *testing.T) {
	for _, header := range [][]string{nil, {"Scanedge-Run", "file-1"}} {
		o := withTen(t, t.TempDir())
		for i := range 2 {
			pushOK(t, o, "demo-a", fmt.Sprintf("subject,status\nx%d,red\n", i), header...)
		}
		p := heldPushOf(t, o, "subject,status\nx2,red\n", header...)
		if !strings.Contains(p.Detail, "3 of 10") {
			t.Error(p.Detail)
		}
		pushOK(t, o, "demo-a", "subject,status\nnew,red\nx3,green\n", header...) // new ones and what stays don't count
		if rec := callAPI(t, o, o.tokens.Admin, http.MethodPost, "/v1/issuers/demo-a/held/"+p.ID+"/approve", "", nil); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		pushOK(t, o, "demo-a", "subject,status\nx4,red\n", header...) // the count begins anew
		o.Close()
	}
}

// Pushes that race count one after another: of many at once only so many get in as the limit lets.
func TestHeldPushesRace(t *testing.T) {
	o := withTen(t, t.TempDir())
	var wg sync.WaitGroup
	codes := make([]int, 10)
	for i := range codes {
		wg.Go(func() {
			codes[i] = post(o, "demo-a", strings.NewReader(fmt.Sprintf("subject,status\nx%d,red\n", i))).Code
		})
	}
	wg.Wait()
	applied := 0
	for i, c := range codes {
		if red := o.word("demo-a", fmt.Sprint("x", i)) == "red"; red != (c == 200) || c != 200 && c != 409 {
			t.Errorf("x%d: status %d, red %v", i, c, red)
		}
		if c == 200 {
			applied++
		}
	}
	if applied != 2 || len(heldList(t, o)) != 8 {
		t.Errorf("%d were applied, %d are held", applied, len(heldList(t, o)))
	}
}

func TestHeldPushesAreBoundedAndEnd(t *testing.T) {
	o := withTen(t, t.TempDir())
	h := o.writers["demo-a"].held
	for i := range heldMost {
		heldPushOf(t, o, rows(3, "red"), "Idempotency-Key", fmt.Sprint("k", i))
	}
	var p scanedge.Problem
	if rec := callAPI(t, o, o.tokens.Push, http.MethodPost, "/v1/issuers/demo-a/deltas", rows(3, "red"), &p); rec.Code != 409 || p.Type != scanedge.TooManyHeld {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	list := heldList(t, o)
	for _, one := range list[:10] {
		h.list[one.ID].Time = time.Now().Add(-heldFor - time.Second)
	}
	if rec := callAPI(t, o, o.tokens.Admin, http.MethodPost, "/v1/issuers/demo-a/held/"+list[0].ID+"/approve", "", nil); rec.Code != 404 {
		t.Errorf("a day later: %d %s", rec.Code, rec.Body)
	}
	files, _ := os.ReadDir(h.dir)
	if len(heldList(t, o)) != heldMost-10 || len(files) != heldMost-10 {
		t.Errorf("%d held, %d files", len(heldList(t, o)), len(files))
	}
}

// A file that is damaged or cut is none: the origin starts, and says so.
func TestHeldFilesThatAreNotWhole(t *testing.T) {
	o := withTen(t, t.TempDir())
	p := heldPushOf(t, o, rows(3, "red"))
	file := filepath.Join(o.cfg.Dir, "held", "demo-a", p.ID)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := readHeld(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		damaged := append([]byte(nil), whole...)
		damaged[n] ^= 0x40
		for _, b := range [][]byte{whole[:n], damaged} {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if h, _, err := readHeld(file); err == nil && !reflect.DeepEqual(h, want) || err != nil && !strings.Contains(err.Error(), file) {
				t.Fatalf("byte %d: %+v, %v", n, h, err)
			}
		}
	}
	o.Close()
	if err := os.WriteFile(file, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	o = open(t, o.cfg.Dir, "demo-a")
	if len(heldList(t, o)) != 0 {
		t.Error("half a push is held")
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the file is gone:", err)
	}
}

func TestHeldRefusals(t *testing.T) {
	o := withTen(t, t.TempDir())
	p := heldPushOf(t, o, rows(3, "red"))
	for _, c := range []struct {
		token, method, path string
		status              int
	}{
		{"", "GET", "demo-a/held", 401}, {o.tokens.Scanner, "GET", "demo-a/held", 401}, {o.tokens.Admin, "GET", "demo-z/held", 404},
		{o.tokens.Admin, "POST", "demo-a/held", 405}, {"", "POST", "demo-a/held/" + p.ID + "/approve", 401},
		{o.tokens.Admin, "GET", "demo-a/held/" + p.ID + "/approve", 405}, {o.tokens.Admin, "POST", "demo-a/held/x/approve", 404},
		{o.tokens.Admin, "GET", "demo-a/held/..%2f..%2ftokens.json", 404}, {"", "DELETE", "demo-a/held/" + p.ID, 401},
		{o.tokens.Admin, "PUT", "demo-a/held/" + p.ID, 405}, {o.tokens.Push, "POST", "demo-a/deltas?dry_run=yes", 400},
		{o.tokens.Push, "POST", "demo-a/deltas?dry_run=1&dry_run=1", 400}, {o.tokens.Push, "POST", "demo-a/deltas?replace=0", 400},
	} {
		if rec := callAPI(t, o, c.token, c.method, "/v1/issuers/"+c.path, rows(1, "red"), nil); rec.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, rec.Code, rec.Body)
		}
	}
	if rec := post(o, "demo-a", strings.NewReader(rows(1, "red")), "Scanedge-Run", "a b"); rec.Code != 400 {
		t.Errorf("a bad run: %d %s", rec.Code, rec.Body)
	}
}
