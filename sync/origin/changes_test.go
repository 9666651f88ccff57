package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
)

// limited sets an issuer's max_change.
func limited(t *testing.T, w *writer, m scanedge.MaxChange) {
	t.Helper()
	p := w.secret.Policy()
	p.MaxChange = issuer.MaxChange(m)
	if err := w.secret.Settle(p, issuer.Rekey{}); err != nil {
		t.Fatal(err)
	}
}

// callAPI makes a request with a token and returns status and answer; into, unless nil, takes the JSON.
func callAPI(t *testing.T, o *Origin, token, method, path, body string, into any, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	o.API().ServeHTTP(rec, req)
	if into != nil && rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, rec.Code, rec.Body, err)
		}
	}
	return rec
}

// statuses is the oracle of an issuer's table: a word a subject, with a reason behind it.
type statuses map[string]string

var words = []string{"green", "yellow", "red", "void"}

// push changes the model as a CSV of subject,status,reason,remove says, and returns the figures of that by their definition.
func (s statuses) push(csv string) scanedge.Figures {
	before, named := maps.Clone(s), map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(csv), "\n")[1:] {
		f := strings.Split(line, ",")
		named[f[0]] = true
		if f[3] == "true" {
			delete(s, f[0])
		} else {
			s[f[0]] = f[1] + " " + f[2]
		}
	}
	return figuresOf(before, s, named)
}

// figuresOf compares two models; named are the subjects that count as unchanged where they are.
func figuresOf(before, after statuses, named map[string]bool) scanedge.Figures {
	f := scanedge.Figures{Before: len(before)}
	all := map[string]bool{}
	maps.Copy(all, named)
	for _, m := range []statuses{before, after} {
		for subject := range m {
			all[subject] = true
		}
	}
	for subject := range all {
		from, was := before[subject]
		to, is := after[subject]
		word := strings.Fields(to + " -")[0]
		switch {
		case from == to && was == is:
			if named[subject] {
				f.Unchanged++
			}
		case !was:
			f.Added++
		case !is:
			f.Removed++
		case strings.Fields(from)[0] == word:
			f.Renewed++
		default:
			if f.Changed == nil {
				f.Changed = map[scanedge.Status]int{}
			}
			f.Changed[scanedge.Status(word)]++
		}
	}
	return f
}

// randomCSV sets up to n subjects out of a few, some of them twice.
func randomCSV(r *rand.Rand, n, of int) string {
	var b strings.Builder
	b.WriteString("subject,status,reason,remove\n")
	for range 1 + r.IntN(n) {
		if r.IntN(5) == 0 {
			fmt.Fprintf(&b, "s%d,,,true\n", r.IntN(of))
		} else {
			fmt.Fprintf(&b, "s%d,%s,%d,\n", r.IntN(of), words[r.IntN(4)], r.IntN(2))
		}
	}
	return b.String()
}

// check holds the table to the model.
func (s statuses) check(t *testing.T, w *writer) {
	t.Helper()
	if w.table.Len() != len(s) {
		t.Fatalf("%d subjects, not %d", w.table.Len(), len(s))
	}
	for subject, want := range s {
		r, ok := w.table.Lookup(w.secret.Seed.Key([]byte(subject)))
		if got := fmt.Sprint(r.Status(), " ", r.Reason()); !ok || got != want {
			t.Fatalf("%s is %s, not %s", subject, got, want)
		}
	}
}

// Figures of pushes that are decided on together count each against the state that it is applied to.
func TestFiguresAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	o, w := stopped(t)
	limited(t, w, scanedge.MaxChange{Bad: 1, All: 1})
	model := statuses{}
	for round := range 60 {
		var pushes []*push
		var want []scanedge.Figures
		for range []int{1, 3, 40}[round%3] {
			csv := randomCSV(r, 6, 30)
			if len(pushes) == 0 {
				var p scanedge.Preview
				callAPI(t, o, o.tokens.Push, http.MethodPost, "/v1/issuers/demo-a/deltas?dry_run=1", csv, &p)
				if f := maps.Clone(model).push(csv); !reflect.DeepEqual(p.Figures, f) || p.Offset != w.past.last || p.After != len(model)+f.Added-f.Removed {
					t.Fatalf("a dry run: %+v, want %+v", p, f)
				}
			}
			pushes, want = append(pushes, pushOf(t, w, infoOf("push"), csv)), append(want, model.push(csv))
		}
		for i, out := range committed(w, pushes...) {
			if got := out.tally.figures(); out.err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Fatalf("round %d, push %d: %v\n got %+v\nwant %+v", round, i, out.err, got, want[i])
			}
		}
		model.check(t, w)
	}
	if len(w.over) != 0 {
		t.Error("the overlay outlives its group")
	}
}

func TestOverruled(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		deltas, last := make([]cache.Delta, n), map[cache.Key]int{}
		for i := range deltas {
			k := cache.Key{Hi: r.Uint64N(2)<<63 | r.Uint64N(1000), Lo: r.Uint64N(uint64(n))} // what tells keys apart is not all of Hi
			deltas[i].Key = k
			last[k.Stored()] = i
		}
		marks := overruled(deltas)
		for i, d := range deltas {
			if got := marks != nil && marks[i/64]>>(i%64)&1 == 1; got == (last[d.Key.Stored()] == i) {
				t.Fatalf("delta %d of %d: overruled %v", i, n, got)
			}
		}
	}
}

// What was charged for a push that the log did not take is taken back.
func TestAPushThatIsNotStoredIsNotCharged(t *testing.T) {
	_, w := stopped(t)
	limited(t, w, scanedge.MaxChange{Bad: 0.5, All: 0.5, Floor: 2})
	committed(w, pushOf(t, w, infoOf("push"), "subject,status\na,green\nb,green\nc,green\nd,green\ne,green\nf,green\n"))
	w.accounts = accounts{} // that was long ago
	append_ := w.append
	w.append = func(context.Context, uint64, [][]byte) error { return errors.New("broken on purpose") }
	for range 3 {
		if out := committed(w, pushOf(t, w, infoOf("push"), "subject,status\na,red\nb,red\nc,red\n"))[0]; out.err == nil || errors.As(out.err, new(heldError)) {
			t.Fatalf("%v", out.err)
		}
	}
	w.append = append_
	if out := committed(w, pushOf(t, w, infoOf("push"), "subject,status\na,red\nb,red\nc,red\n"))[0]; out.err != nil {
		t.Errorf("half of them may: %v", out.err)
	}
	if out := committed(w, pushOf(t, w, infoOf("push"), "subject,status\nd,red\n"))[0]; !errors.As(out.err, new(heldError)) {
		t.Errorf("one more may not: %v", out.err)
	}
}
