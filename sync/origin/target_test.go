package origin

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
)

// csv is a file that says all of the model, in no order.
func (s statuses) csv() string {
	var b strings.Builder
	b.WriteString("subject,status,reason,remove\n")
	for subject, is := range s {
		f := strings.Fields(is)
		fmt.Fprintf(&b, "%s,%s,%s,\n", subject, f[0], f[1])
	}
	return b.String()
}

// previewed asks for a preview of a replacement.
func previewed(t *testing.T, o *Origin, body string) (p scanedge.Preview) {
	t.Helper()
	if rec := callAPI(t, o, o.tokens.Push, "POST", "/v1/issuers/demo-a/deltas?replace=1&dry_run=1", body, &p); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return p
}

// replaced replaces the table as a preview said.
func replaced(t *testing.T, o *Origin, body string, p scanedge.Preview) (a scanedge.Applied, problem scanedge.Problem) {
	t.Helper()
	into := any(&a)
	rec := callAPI(t, o, o.tokens.Push, "POST", "/v1/issuers/demo-a/deltas?replace=1", body, nil, "If-Match", fmt.Sprint(p.Offset), "Scanedge-Digest", p.Digest)
	if rec.Code != 200 {
		into = &problem
	}
	unmarshal(t, rec.Body.Bytes(), into)
	return a, problem
}

// rolledBack rolls back with the preview's consent, after a look at it.
func rolledBack(t *testing.T, o *Origin, to uint64) (p scanedge.Preview, a scanedge.Applied, problem scanedge.Problem) {
	t.Helper()
	path := "/v1/issuers/demo-a/rollback"
	rec := callAPI(t, o, o.tokens.Admin, "POST", path, fmt.Sprintf(`{"to":%d,"dry_run":true}`, to), nil)
	if rec.Code != 200 {
		unmarshal(t, rec.Body.Bytes(), &problem)
		return p, a, problem
	}
	unmarshal(t, rec.Body.Bytes(), &p)
	rec = callAPI(t, o, o.tokens.Admin, "POST", path, fmt.Sprintf(`{"to":%d,"offset":%d,"digest":"%s","note":"why"}`, to, p.Offset, p.Digest), nil)
	if rec.Code != 200 {
		unmarshal(t, rec.Body.Bytes(), &problem)
		return p, a, problem
	}
	unmarshal(t, rec.Body.Bytes(), &a)
	return p, a, problem
}

// A replacement leaves what the file says and nothing else, whatever was there; its figures are those of the difference, and it is not
// held.
func TestReplaceAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	o := open(t, t.TempDir(), "demo-a")
	limited(t, o.writers["demo-a"], scanedge.MaxChange{})
	w := o.writers["demo-a"]
	model := statuses{}
	for round := range 30 {
		next := statuses{}
		for subject, is := range model { // some stay, some go, some change
			if r.IntN(4) > 0 {
				next[subject] = is
			}
		}
		body := next.csv() + strings.TrimPrefix(randomCSV(r, 100, 300), "subject,status,reason,remove\n") // some twice, some removed
		next.push(body)
		if len(next) == 0 {
			continue
		}
		named := map[string]bool{}
		for subject := range next {
			named[subject] = true
		}
		want := figuresOf(model, next, named)
		p := previewed(t, o, body)
		if !reflect.DeepEqual(p.Figures, want) || p.After != len(next) || p.Rows != strings.Count(body, "\n")-1 {
			t.Fatalf("round %d: %+v, want %+v", round, p, want)
		}
		a, problem := replaced(t, o, body, p)
		if problem.Type != "" || !reflect.DeepEqual(a.Figures, want) || w.table.Digest().String() != p.Digest || a.Offset != w.past.lastBatch() {
			t.Fatalf("round %d: %+v, %v", round, a, problem)
		}
		next.check(t, w)
		model = next
		if a, _ := replaced(t, o, body, previewed(t, o, body)); a.Batches != 0 || a.Figures.All() != 0 {
			t.Fatalf("made again: %+v", a)
		}
	}
	digest := w.table.Digest()
	o.Close()
	o = open(t, o.cfg.Dir, "demo-a") // the log tells the same
	if got := o.writers["demo-a"].table.Digest(); got != digest {
		t.Errorf("after a start %v, not %v", got, digest)
	}
}

// Nobody's push is overwritten unseen, and no other file than the one that was shown is taken.
func TestAReplacementNeedsItsPreview(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushOK(t, o, "demo-a", rows(10, "green"))
	p := previewed(t, o, rows(5, "red"))
	if _, problem := replaced(t, o, rows(6, "red"), p); problem.Type != scanedge.PreviewDiffers {
		t.Errorf("another file: %+v", problem)
	}
	pushOK(t, o, "demo-a", "subject,status\nx9,void\n")
	if _, problem := replaced(t, o, rows(5, "red"), p); problem.Type != scanedge.OffsetMoved {
		t.Errorf("after somebody's push: %+v", problem)
	}
	if o.word("demo-a", "x9") != "void" || o.word("demo-a", "x0") != "green" {
		t.Error("something was applied")
	}
	for name, c := range map[string]struct {
		body   string
		header []string
		want   scanedge.ProblemType
	}{
		"no preview": {rows(5, "red"), nil, scanedge.BadRequest},
		"no digest":  {rows(5, "red"), []string{"If-Match", "1"}, scanedge.BadRequest},
		"a key":      {rows(5, "red"), []string{"If-Match", "1", "Scanedge-Digest", "x", "Idempotency-Key", "k"}, scanedge.BadRequest},
		"nothing":    {"", []string{"If-Match", "1", "Scanedge-Digest", "x"}, scanedge.NoDeltas},
		"no rows":    {"subject,status\n", []string{"If-Match", "1", "Scanedge-Digest", "x"}, scanedge.NoDeltas},
		"a bad line": {rows(5, "blue"), []string{"If-Match", "1", "Scanedge-Digest", "x"}, scanedge.BadLines},
	} {
		var problem scanedge.Problem
		callAPI(t, o, o.tokens.Push, "POST", "/v1/issuers/demo-a/deltas?replace=1", c.body, &problem, c.header...)
		if problem.Type != c.want {
			t.Errorf("%s: %+v", name, problem)
		}
	}
	o.thinking <- struct{}{} // somebody else's is under way
	var problem scanedge.Problem
	if callAPI(t, o, o.tokens.Push, "POST", "/v1/issuers/demo-a/deltas?replace=1&dry_run=1", rows(1, "red"), &problem); problem.Type != scanedge.Busy {
		t.Errorf("%+v", problem)
	}
	<-o.thinking
}

// A push between two batches of a replacement ends it there, and a new preview finds what is left.
func TestAPushBetweenTheBatchesOfAReplacement(t *testing.T) {
	_, w := stopped(t)
	w.stopped = make(chan struct{}) // the test takes the pushes
	then := new(target)
	for i := range 10 {
		then.table.Put(w.secret.Seed.Key(fmt.Append(nil, "x", i)), cache.Record(0))
	}
	asks := asked{w: w, from: caller{"t", "t"}, ifMatch: new(uint64), info: infoOf("t")}
	b := &become{w: w, ctx: t.Context(), asked: asks}
	n := 0
	_, err := compare(&w.table, &then.table, func(d cache.Delta) error {
		if n++; n > 5 {
			return nil
		}
		b.batch = append(b.batch, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var turn sync.WaitGroup
	turn.Go(func() { w.commit([]*push{<-w.pushes}) })
	err = b.flush()
	turn.Wait()
	if err != nil || b.done != 1 || w.table.Len() != 5 {
		t.Fatal(err, b.done, w.table.Len())
	}
	committed(w, pushOf(t, w, infoOf("other"), row("y", "red")))
	b.batch = append(b.batch, cache.Delta{Key: w.secret.Seed.Key([]byte("z"))})
	turn.Go(func() { w.commit([]*push{<-w.pushes}) })
	p := b.refusal(b.flush())
	turn.Wait()
	if p.Type != scanedge.OffsetMoved || !strings.Contains(p.Detail, "1 batches of it were applied") || w.table.Len() != 6 {
		t.Errorf("%+v; %d subjects", p, w.table.Len())
	}
}

// A rollback to any offset that can be reached brings back what held then, from the log, from snapshots and both, also after a start.
func TestRollbackAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	o := open(t, t.TempDir(), "demo-a")
	limited(t, o.writers["demo-a"], scanedge.MaxChange{Bad: 1, All: 1})
	model, past := statuses{}, map[uint64]statuses{0: {}}
	for round := range 40 {
		csv := randomCSV(r, 20, 60)
		model.push(csv)
		past[pushOK(t, o, "demo-a", csv).Offset] = maps.Clone(model)
		switch r.IntN(6) {
		case 0:
			take(t, o)
		case 1:
			o.writers["demo-a"].held = nil // it is opened anew
			o.Close()
			o = open(t, o.cfg.Dir, "demo-a")
		}
		if round%4 != 3 {
			continue
		}
		to := r.Uint64N(o.writers["demo-a"].past.lastBatch() + 1)
		p, a, problem := rolledBack(t, o, to)
		if problem.Type == scanedge.TooFarBack {
			if problem.Earliest == nil || *problem.Earliest <= to {
				t.Fatalf("to %d: %+v", to, problem)
			}
			to = *problem.Earliest
			p, a, problem = rolledBack(t, o, to)
		}
		if problem.Type != "" || !reflect.DeepEqual(p.Figures, a.Figures) {
			t.Fatalf("to %d: %+v, %+v", to, problem, p)
		}
		want := past[lastOf(past, to)]
		f := figuresOf(model, want, nil)
		if a.Figures.Unchanged = 0; !reflect.DeepEqual(a.Figures, f) {
			t.Fatalf("to %d: %+v, want %+v", to, a.Figures, f)
		}
		want.check(t, o.writers["demo-a"])
		model = maps.Clone(want)
		past[a.Offset] = maps.Clone(model)
	}
}

// lastOf is the last batch up to an offset.
func lastOf(past map[uint64]statuses, to uint64) (last uint64) {
	for at := range past {
		if at <= to {
			last = max(last, at)
		}
	}
	return last
}

func unmarshal(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

func TestRollbackRefusals(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	w := o.writers["demo-a"]
	var offsets []uint64
	for i := range 4 {
		offsets = append(offsets, pushOK(t, o, "demo-a", row(fmt.Sprint("x", i), "red")).Offset)
		if i > 0 {
			take(t, o)
		}
	}
	for name, c := range map[string]struct {
		token, method, path, body string
		want                      scanedge.ProblemType
	}{
		"a push token":   {o.tokens.Push, "POST", "demo-a", `{"to":1,"dry_run":true}`, scanedge.NoToken},
		"another issuer": {o.tokens.Admin, "POST", "demo-z", `{"to":1,"dry_run":true}`, scanedge.UnknownIssuer},
		"GET":            {o.tokens.Admin, "GET", "demo-a", "", scanedge.MethodNotAllowed},
		"to nowhere":     {o.tokens.Admin, "POST", "demo-a", `{"dry_run":true}`, scanedge.BadRequest},
		"no preview":     {o.tokens.Admin, "POST", "demo-a", `{"to":1}`, scanedge.BadRequest},
		"the future":     {o.tokens.Admin, "POST", "demo-a", `{"to":999999,"dry_run":true}`, scanedge.BadRequest},
		"another member": {o.tokens.Admin, "POST", "demo-a", `{"to":1,"dry_run":true,"x":1}`, scanedge.BadRequest},
		"a bad note":     {o.tokens.Admin, "POST", "demo-a", `{"to":1,"dry_run":true,"note":"a\nb"}`, scanedge.BadRequest},
		"too far back":   {o.tokens.Admin, "POST", "demo-a", fmt.Sprintf(`{"to":%d,"dry_run":true}`, offsets[1]), scanedge.TooFarBack},
		"to the start":   {o.tokens.Admin, "POST", "demo-a", `{"to":0,"dry_run":true}`, scanedge.TooFarBack},
		"another's":      {o.tokens.Admin, "POST", "demo-a", fmt.Sprintf(`{"to":%d,"offset":%d,"digest":"x"}`, offsets[2], offsets[3]), scanedge.PreviewDiffers},
	} {
		var p scanedge.Problem
		callAPI(t, o, c.token, c.method, "/v1/issuers/"+c.path+"/rollback", c.body, &p)
		if p.Type != c.want {
			t.Errorf("%s: %+v", name, p)
		}
		if p.Type == scanedge.TooFarBack && (p.Earliest == nil || *p.Earliest != offsets[2]) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	stopWriter(o)
	if err := w.log.Trim(t.Context(), offsets[3]); err != nil { // nothing is left of it
		t.Fatal(err)
	}
	if _, p := w.tableAt(t.Context(), 0); p == nil || p.Type != scanedge.TooFarBack {
		t.Errorf("%+v", p)
	}
}

// A snapshot that was written while pushes came is of no moment before its end: what held in between is for the log alone to say.
func TestRollbackIntoASnapshotThatWasBeingWritten(t *testing.T) {
	for range 20 {
		o := open(t, t.TempDir(), "demo-a")
		w := o.writers["demo-a"]
		var all strings.Builder
		all.WriteString("subject,status\n")
		for i := range 200_000 {
			fmt.Fprintf(&all, "x%d,green\n", i)
		}
		pushOK(t, o, "demo-a", all.String())
		stop, offsets := make(chan struct{}), []uint64{}
		var pushing sync.WaitGroup
		pushing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					rec := post(o, "demo-a", strings.NewReader(rows(100, words[i%4])))
					var r scanedge.Receipt
					_ = json.Unmarshal(rec.Body.Bytes(), &r)
					offsets = append(offsets, r.Offset)
				}
			}
		})
		f := take(t, o)
		close(stop)
		pushing.Wait()
		if f.To == f.Began.Offset {
			o.Close()
			continue
		}
		some := []uint64{f.To, f.To - 1, f.Began.Offset}
		for i := 0; i < len(offsets); i += len(offsets)/8 + 1 {
			some = append(some, offsets[i])
		}
		for _, to := range some {
			then, problem := w.tableAt(t.Context(), to)
			if problem != nil {
				t.Fatal(problem)
			}
			var want cache.Table // by the log alone
			if err := w.replayInto(t.Context(), &want, cache.Position{}, to); err != nil || want.Digest() != then.table.Digest() {
				t.Errorf("at %d, with a snapshot from %d to %d: %v for %v, %v", to, f.Began.Offset, f.To, then.table.Digest(), want.Digest(), err)
			}
		}
		return
	}
	t.Fatal("no snapshot was written while pushes came")
}
