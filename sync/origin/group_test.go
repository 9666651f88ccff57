package origin

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

func row(subject, status string) string { return "subject,status\n" + subject + "," + status + "\n" }

// keyed is a push with a key.
func keyed(t *testing.T, w *writer, key, body string) *push {
	t.Helper()
	return pushOf(t, w, delta.Info{Key: key}, body)
}

// matching is a push that goes only behind an offset.
func matching(t *testing.T, w *writer, offset uint64, body string) *push {
	t.Helper()
	p := pushOf(t, w, delta.Info{}, body)
	p.ifMatch = &offset
	return p
}

// committed commits pushes as one group, and returns what each is told.
func committed(w *writer, pushes ...*push) []outcome {
	w.commit(pushes)
	outs := make([]outcome, len(pushes))
	for i, p := range pushes {
		outs[i] = <-p.done
	}
	return outs
}

// stopped is an origin whose writer the test is.
func stopped(t *testing.T) (*Origin, *writer) {
	t.Helper()
	o := open(t, t.TempDir(), "demo-a")
	stopWriter(o)
	w := o.writers["demo-a"]
	w.broken = func(error) {}
	return o, w
}

// fill makes a group large enough to be one append.
func fill(t *testing.T, w *writer) (more []*push) {
	for i := range groupWorth {
		more = append(more, pushOf(t, w, delta.Info{}, row(fmt.Sprint("more", i), "green")))
	}
	return more
}

func TestPushesOfAGroupAreDecidedInTheirOrder(t *testing.T) {
	o, w := stopped(t)
	first := committed(w, keyed(t, w, "old", row("x", "green")))[0].receipt
	batches := []*push{
		keyed(t, w, "a", row("x", "red")),
		keyed(t, w, "a", row("x", "red")),    // a retry of one in the same group
		keyed(t, w, "a", row("x", "yellow")), // another push with its key
		keyed(t, w, "old", row("x", "green")),
		keyed(t, w, "old", row("y", "green")),
		matching(t, w, first.Offset, row("x", "void")), // the group has moved on
	}
	outs := committed(w, append(fill(t, w), batches...)...)[groupWorth:]
	a := outs[0]
	if a.err != nil || a.replayed || a.receipt.Count != 1 || a.receipt.Offset != w.at.Offset || a.receipt.Offset <= first.Offset {
		t.Errorf("the push: %+v; the chain ends at %s", a, w.at)
	}
	if outs[1] != (outcome{receipt: a.receipt, replayed: true}) || outs[3] != (outcome{receipt: first, replayed: true}) {
		t.Errorf("retries: %+v and %+v", outs[1], outs[3])
	}
	if !errors.Is(outs[2].err, errKeyReused) || !errors.Is(outs[4].err, errKeyReused) {
		t.Errorf("other deltas with the same key: %+v and %+v", outs[2], outs[4])
	}
	if outs[5].err != (movedError{a.receipt.Offset}) {
		t.Errorf("behind a batch that is not the last: %+v", outs[5])
	}
	if got := o.word("demo-a", "x"); got != "red" || o.word("demo-a", "y") != "none" {
		t.Errorf("x is %s, y is %s", got, o.word("demo-a", "y"))
	}
}

// A key is looked up before If-Match: else a retry would be refused because of itself.
func TestARetryIsNotRefusedByItsOwnIfMatch(t *testing.T) {
	_, w := stopped(t)
	push := func() *push {
		p := keyed(t, w, "k", row("x", "red"))
		p.ifMatch = new(uint64)
		return p
	}
	outs := committed(w, push(), push())
	later := committed(w, push())
	if outs[0].err != nil || outs[1] != (outcome{receipt: outs[0].receipt, replayed: true}) || later[0] != outs[1] {
		t.Errorf("%+v, then %+v", outs, later)
	}
}

func TestIfMatchGoesByTheLastBatch(t *testing.T) {
	o, w := stopped(t)
	w.beat()
	if w.at.Offset == 0 {
		t.Fatal("no reign")
	}
	first := committed(w, matching(t, w, 0, row("x", "green")))[0]
	if first.err != nil {
		t.Fatalf("nothing was ever pushed: %v", first.err)
	}
	o.Close()
	o = open(t, o.cfg.Dir, "demo-a") // a reign that is no batch
	stopWriter(o)
	w = o.writers["demo-a"]
	outs := committed(w, matching(t, w, 0, row("x", "red")), matching(t, w, first.receipt.Offset, row("x", "yellow")))
	if outs[0].err != (movedError{first.receipt.Offset}) || outs[1].err != nil || o.word("demo-a", "x") != "yellow" {
		t.Errorf("%+v; x is %s", outs, o.word("demo-a", "x"))
	}
}

// Each step of an append that fails, with what each push is told and what the table and the keys then hold.
func TestAppendsThatFail(t *testing.T) {
	broken := errors.New("broken on purpose")
	for name, c := range map[string]struct {
		fill   bool
		append func(w *writer) func(context.Context, uint64, [][]byte) error
		stored bool
	}{
		"alone, not stored": {false, func(*writer) func(context.Context, uint64, [][]byte) error {
			return func(context.Context, uint64, [][]byte) error { return broken }
		}, false},
		"alone, stored": {false, func(w *writer) func(context.Context, uint64, [][]byte) error {
			return func(ctx context.Context, after uint64, records [][]byte) error {
				return errors.Join(broken, w.log.AppendGroup(ctx, after, records))
			}
		}, true},
		"a group, not stored": {true, func(*writer) func(context.Context, uint64, [][]byte) error {
			return func(context.Context, uint64, [][]byte) error { return broken }
		}, false},
		"a group, stored": {true, func(w *writer) func(context.Context, uint64, [][]byte) error {
			return func(ctx context.Context, after uint64, records [][]byte) error {
				return errors.Join(broken, w.log.AppendGroup(ctx, after, records))
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, w := stopped(t)
			committed(w, keyed(t, w, "old", row("x", "green")))
			pushes := []*push{
				keyed(t, w, "k", row("x", "red")), keyed(t, w, "k", row("x", "red")), matching(t, w, 1<<60, row("x", "void")),
				keyed(t, w, "old", row("x", "green")),
			}
			if c.fill {
				pushes = append(pushes, fill(t, w)...)
			}
			w.append = c.append(w)
			outs := committed(w, pushes...)
			w.append = w.log.AppendGroup
			if old := outs[3]; old.err != nil || !old.replayed {
				t.Errorf("a retry of what was stored before: %+v", old)
			}
			_, known := w.past.find("k")
			var moved movedError
			if c.stored {
				if outs[0].err != nil || !outs[1].replayed || !errors.As(outs[2].err, &moved) || !known || o.word("demo-a", "x") != "red" {
					t.Errorf("stored: %+v; key known %v, x is %s", outs[:3], known, o.word("demo-a", "x"))
				}
			} else {
				for i, out := range outs[:3] {
					if !errors.Is(out.err, broken) {
						t.Errorf("not stored, push %d: %+v", i, out)
					}
				}
				if known || o.word("demo-a", "x") != "green" {
					t.Errorf("not stored: key known %v, x is %s", known, o.word("demo-a", "x"))
				}
			}
			if again := committed(w, keyed(t, w, "k", row("x", "red")))[0]; again.err != nil || again.replayed != c.stored {
				t.Errorf("sent again: %+v", again)
			}
		})
	}
}

// What an append in the middle of a chain of lone ones can't store, those before it do not answer for.
func TestTheFrontOfAGroupMayBeStored(t *testing.T) {
	o, w := stopped(t)
	left := 2
	w.append = func(ctx context.Context, after uint64, records [][]byte) error {
		if left--; left < 0 {
			return errors.New("broken on purpose")
		}
		return w.log.AppendGroup(ctx, after, records)
	}
	outs := committed(w, keyed(t, w, "a", row("x", "red")), keyed(t, w, "b", row("y", "red")), keyed(t, w, "b", row("y", "red")),
		keyed(t, w, "c", row("z", "red")), keyed(t, w, "c", row("z", "red")))
	if outs[0].err != nil || outs[1].err != nil || !outs[2].replayed || outs[3].err == nil || outs[4].err == nil {
		t.Errorf("%+v", outs)
	}
	if o.word("demo-a", "y") != "red" || o.word("demo-a", "z") != "none" || w.past.len() != 2 {
		t.Errorf("y is %s, z is %s, %d keys", o.word("demo-a", "y"), o.word("demo-a", "z"), w.past.len())
	}
}

// Bulk pushes that come one on another's heels must leave turns to the others: those that come during one go before the next.
func TestSinglePushesWaitForOneBulkPush(t *testing.T) {
	o, w := stopped(t)
	var text strings.Builder
	text.WriteString("subject,status\n")
	for i := range 60_000 {
		fmt.Fprintf(&text, "b%d,green\n", i)
	}
	var order []string
	var wg sync.WaitGroup
	singles := 0
	w.append = func(ctx context.Context, after uint64, records [][]byte) error {
		if len(records[0]) < 1<<20 {
			order = append(order, "single")
			return w.log.AppendGroup(ctx, after, records)
		}
		order = append(order, "bulk")
		p := pushOf(t, w, delta.Info{}, row(fmt.Sprint("s", singles), "red"))
		singles++
		wg.Go(func() { w.submit(t.Context(), p) })
		time.Sleep(50 * time.Millisecond) // until it waits
		return w.log.AppendGroup(ctx, after, records)
	}
	w.stopped = make(chan struct{})
	for range 8 {
		p := pushOf(t, w, delta.Info{}, text.String())
		wg.Go(func() { w.submit(t.Context(), p) })
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.run(ctx) })
	time.Sleep(100 * time.Millisecond)
	wg.Wait()
	stop()
	running.Wait()
	if got := strings.Join(order, " "); strings.Contains(got, "bulk bulk") {
		t.Errorf("a single push waited for two bulk ones: %s", got)
	}
	if n := w.table.Len(); n != 60_000+singles || singles != 8 || o.word("demo-a", "s7") != "red" {
		t.Errorf("%d subjects, %d single pushes", n, singles)
	}
}

func TestGatherTakesNoMoreThanAnAppendMayHold(t *testing.T) {
	_, w := stopped(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range groupPushes + 10 {
		p := pushOf(t, w, delta.Info{}, row("x", "red"))
		wg.Go(func() {
			select {
			case w.pushes <- p:
			case <-ctx.Done():
			}
		})
	}
	small := make([]*push, groupPushes-1)
	for i := range small {
		small[i] = new(push)
	}
	if got := len(w.gather(append(small, <-w.pushes)...)); got != groupPushes {
		t.Errorf("%d pushes at once", got)
	}
	if got := len(w.gather(append(small[:groupPushes-20], <-w.pushes)...)); got > groupPushes {
		t.Errorf("%d pushes at once", got)
	}
	stop()
	wg.Wait()
	large := &push{record: make([]byte, groupBytes)}
	if got := w.gather(large); len(got) != 1 {
		t.Errorf("%d pushes beside one that fills an append", len(got)-1)
	}
}

// The first of two origins on one log must end once the second has begun to write.
func TestAnOriginThatWasDeposedEnds(t *testing.T) {
	_, w := stopped(t)
	var ended error
	w.broken = func(err error) { ended = err }
	second := w.chain()
	second.epoch = w.epoch + 1
	second.add(issuer.Reign, issuer.AppendHead(nil, issuer.Head{Issuer: "demo-a"}), nil)
	if err := w.log.AppendGroup(t.Context(), w.last, second.records); err != nil {
		t.Fatal(err)
	}
	out := committed(w, keyed(t, w, "k", row("x", "red")))[0]
	if !errors.Is(out.err, errDeposed) || !errors.Is(ended, errDeposed) || w.table.Len() != 0 {
		t.Errorf("told %v, ended by %v", out.err, ended)
	}
	if again := committed(w, keyed(t, w, "k", row("x", "red")))[0]; again.err == nil {
		t.Error("it goes on writing")
	}
}

func TestEpochsOfALog(t *testing.T) {
	for name, c := range map[string]struct {
		kind  issuer.Kind
		epoch uint64
		ok    bool
	}{
		"a batch of this reign":        {issuer.Batch, 1, true},
		"a batch of an earlier reign":  {issuer.Batch, 0, false},
		"a batch of a later reign":     {issuer.Batch, 2, false},
		"the next reign":               {issuer.Reign, 2, true},
		"a reign that leaves some out": {issuer.Reign, 9, true},
		"the same reign again":         {issuer.Reign, 1, false},
		"an earlier reign":             {issuer.Reign, 0, false},
	} {
		o, w := stopped(t)
		foreign := w.chain()
		foreign.epoch = c.epoch
		p := pushOf(t, w, delta.Info{}, row("x", "red"))
		if c.kind == issuer.Reign {
			foreign.add(c.kind, issuer.AppendHead(nil, issuer.Head{Issuer: "demo-a"}), nil)
		} else {
			foreign.add(c.kind, p.record, p)
		}
		if err := w.log.AppendGroup(t.Context(), w.last, foreign.records); err != nil {
			t.Fatal(err)
		}
		err := w.replay(t.Context())
		if ok := err == nil; ok != c.ok || !ok && !errors.Is(err, issuer.ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
		o.Close()
	}
}

// A start that can't tell whether its reign began begins another.
func TestAReignThatFailedButHappened(t *testing.T) {
	_, w := stopped(t)
	for _, stored := range []bool{false, true} {
		want, calls := w.past.epoch+1, 0
		if stored {
			want++
		}
		w.epoch = 0
		w.append = func(ctx context.Context, after uint64, records [][]byte) (err error) {
			if calls++; stored || calls > 1 {
				err = w.log.AppendGroup(ctx, after, records)
			}
			if calls == 1 {
				err = errors.Join(errors.New("broken on purpose"), err)
			}
			return err
		}
		if err := w.reign(t.Context()); err != nil || w.epoch != want || w.past.epoch != want || calls != 2 {
			t.Errorf("stored %v: epoch %d, not %d, after %d appends: %v", stored, w.epoch, want, calls, err)
		}
	}
}

// Whoever may write to the log may write nonsense where the beats are. It must not keep an origin from starting.
func TestABeatThatIsNoneIsPassedOver(t *testing.T) {
	o, w := stopped(t)
	committed(w, keyed(t, w, "k", row("x", "red")))
	for i, nonsense := range []string{"", "nonsense", "SE\x02\x02\x02", strings.Repeat("SE\xff\xff\x02", 40)} {
		if err := w.log.AppendBeat(t.Context(), w.last+uint64(i), []byte(nonsense)); err != nil {
			t.Fatal(err)
		}
	}
	w.unsure = true
	if out := committed(w, keyed(t, w, "l", row("y", "red")))[0]; out.err != nil {
		t.Error(out.err)
	}
	o.Close()
	o = open(t, o.cfg.Dir, "demo-a")
	if o.word("demo-a", "x") != "red" || o.word("demo-a", "y") != "red" {
		t.Errorf("x is %s, y is %s", o.word("demo-a", "x"), o.word("demo-a", "y"))
	}
}

func TestRetriesOverHTTP(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	body := row("x", "red")
	first := pushOK(t, o, "demo-a", body, "Idempotency-Key", "k")
	for what, same := range map[string]string{
		"the same": body, "NDJSON": `{"subject":"x","status":"red"}`, "CRLF": "status,subject\r\nred,x\r\n",
	} {
		rec := post(o, "demo-a", strings.NewReader(same), "Idempotency-Key", "k", "If-Match", "0")
		if rec.Code != 200 || rec.Header().Get("Idempotency-Replayed") != "true" ||
			rec.Header().Get("ETag") != fmt.Sprintf(`"%d"`, first.Offset) {
			t.Errorf("%s: %d %v %s", what, rec.Code, rec.Header(), rec.Body)
		}
	}
	var wg sync.WaitGroup
	receipts := make([]scanedge.Receipt, 32)
	for i := range receipts {
		wg.Go(func() { receipts[i] = pushOK(t, o, "demo-a", row("y", "red"), "Idempotency-Key", "at-once") })
	}
	wg.Wait()
	for _, r := range receipts {
		if r != receipts[0] {
			t.Errorf("receipts %+v and %+v for one push", receipts[0], r)
		}
	}
	rec := post(o, "demo-a", strings.NewReader(row("z", "red")))
	if rec.Header().Get("Idempotency-Replayed") != "" || rec.Header().Get("ETag") == "" {
		t.Errorf("a push without a key: %v", rec.Header())
	}
	rec = post(o, "demo-a", strings.NewReader(row("z", "red")), "Idempotency-Key", "k")
	if rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("another push with the key: %d %s", rec.Code, rec.Body)
	}
}

// A log that ends before what was acknowledged was deleted or made anew: the origin must not go on as if nothing were.
func TestALogThatWasMadeAnewEndsTheOrigin(t *testing.T) {
	_, w := stopped(t)
	var ended error
	w.broken = func(err error) { ended = err }
	w.last += 100 // as if so much had been there
	out := committed(w, keyed(t, w, "k", row("x", "red")))[0]
	if out.err == nil || w.table.Len() != 0 {
		t.Errorf("told %+v", out)
	}
	if committed(w, keyed(t, w, "k", row("x", "red"))); !errors.Is(ended, errRemade) {
		t.Errorf("ended by %v", ended)
	}
}

// A record that the issuer did not sign, where an append of its own is in doubt: the origin must not go on from it, however often it
// looks.
func TestAForgedEndOfTheLog(t *testing.T) {
	o, w := stopped(t)
	committed(w, keyed(t, w, "k", row("x", "green")))
	_, key, _ := ed25519.GenerateKey(nil)
	forged := w.chain()
	forged.secret = &issuer.Secret{ID: "demo-a", Key: key}
	p := pushOf(t, w, delta.Info{}, row("x", "red"))
	forged.add(issuer.Batch, p.record, p)
	if err := w.log.AppendGroup(t.Context(), w.last, forged.records); err != nil {
		t.Fatal(err)
	}
	at := w.at
	for range 3 {
		if out := committed(w, keyed(t, w, "l", row("y", "red")))[0]; !errors.Is(out.err, issuer.ErrSignature) {
			t.Errorf("told %+v", out)
		}
		if w.at != at || o.word("demo-a", "x") != "green" {
			t.Errorf("at %s, after %s; x is %s", w.at, at, o.word("demo-a", "x"))
		}
	}
}
