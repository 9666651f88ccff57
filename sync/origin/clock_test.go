package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

// bubbledWriter is a writer for a bubble of synctest, where the log's server can't be: its log takes all at once and keeps nothing.
func bubbledWriter(t *testing.T) *writer {
	t.Helper()
	secret, err := issuer.LoadOrCreate(filepath.Join(t.TempDir(), "s.json"), "demo-a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	h, err := openHeld(filepath.Join(t.TempDir(), "demo-a"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	set := metrics.NewSet()
	return &writer{
		secret: secret, logger: quiet, tail: newTail(), over: overlay{}, disk: &disk{}, held: h, epoch: 1, past: past{epoch: 1},
		append: func(context.Context, uint64, [][]byte) error { return nil },
		deltas: set.NewCounter("deltas"), appends: set.NewPrometheusHistogram("appends"),
		broken: func(err error) { t.Error(err) },
	}
}

// A retry within 24 hours is one, to the last moment, however many pushes there were; after 25 it is a push of its own.
func TestARetryIsKnownForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbledWriter(t)
		push := func(key, status string) outcome { return committed(w, keyed(t, w, key, row("x", status)))[0] }
		first := push("k", "red")
		for hour := range 24 {
			time.Sleep(time.Hour)
			if o := push("k", "red"); !o.replayed || o.receipt != first.receipt {
				t.Errorf("after %d hours: %+v", hour+1, o)
			}
			if o := push("k", "green"); !errors.Is(o.err, errKeyReused) {
				t.Errorf("other deltas after %d hours: %+v", hour+1, o)
			}
			if o := push(fmt.Sprint("other", hour), "green"); o.err != nil || o.replayed {
				t.Errorf("another push: %+v", o)
			}
		}
		time.Sleep(keysFor - 24*time.Hour)
		if o := push("k", "red"); !o.replayed {
			t.Errorf("at its last moment: %+v", o)
		}
		time.Sleep(time.Millisecond)
		if o := push("k", "green"); o.err != nil || o.replayed || o.receipt.Offset <= first.receipt.Offset {
			t.Errorf("after its time: %+v", o)
		}
	})
}

// A held push waits for 24 hours, also one that was read again by a start, and its file goes with it; one that is being applied then is
// applied to the end.
func TestAHeldPushWaitsForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbledWriter(t)
		hold := func(subject string) string {
			t.Helper()
			p, err := w.held.add(pushOf(t, w, delta.Info{}, row(subject, "red")), "a test's")
			if err != nil {
				t.Fatal(err)
			}
			return p.ID
		}
		one := hold("x")
		time.Sleep(time.Hour)
		two := hold("y")
		time.Sleep(heldFor - time.Hour)
		again, err := openHeld(w.held.dir, w.logger)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []*held{w.held, again} {
			if n := len(h.all()); n != 2 {
				t.Errorf("at the last moment %d are held", n)
			}
		}
		err = w.held.apply(one, func() error {
			time.Sleep(time.Nanosecond)
			if _, err := w.held.find(one); err != nil {
				t.Errorf("while it is applied: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := again.find(one); !errors.Is(err, errNotHeld) {
			t.Errorf("after a day: %v", err)
		}
		time.Sleep(time.Hour)
		if err := w.held.apply(two, func() error { t.Error("applied"); return nil }); !errors.Is(err, errNotHeld) {
			t.Errorf("the other, after a day: %v", err)
		}
		if left, _ := os.ReadDir(w.held.dir); len(left) != 0 {
			t.Errorf("%d files are left", len(left))
		}
	})
}

// The log may take nothing for 20 seconds, one success starts them anew, and then the origin ends.
func TestMissesOfTwentySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbledWriter(t)
		var ended error
		w.broken = func(err error) { ended = err }
		fault := errors.New("broken on purpose")
		for range 3 {
			w.took(fault)
			time.Sleep(missesFor - time.Nanosecond)
			if w.took(fault); ended != nil {
				t.Fatalf("ended before its time: %v", ended)
			}
			w.took(nil)
			time.Sleep(time.Hour)
		}
		w.took(fault)
		time.Sleep(missesFor)
		if w.took(fault); ended == nil || !strings.Contains(ended.Error(), fault.Error()) {
			t.Errorf("ended by %v", ended)
		}
	})
}

// What one token changed counts together for one to two minutes, and the pieces of a file for 24 hours, by the writer's clock.
func TestAccountsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbledWriter(t)
		limited(t, w, few)
		committed(w, keyed(t, w, "all", rows(100, "green")))
		w.accounts = accounts{}
		push := func(token, run string, from, n int) error {
			var b strings.Builder
			b.WriteString("subject,status\n")
			for i := range n {
				fmt.Fprintf(&b, "x%d,red\n", from+i)
			}
			p := pushOf(t, w, delta.Info{}, b.String())
			p.from, p.run = caller{id: token, name: token}, run
			return committed(w, p)[0].err
		}
		over := func(err error) bool { return errors.As(err, new(heldError)) }
		if err := push("a", "", 0, 20); err != nil {
			t.Fatal(err)
		}
		time.Sleep(windowOf)
		if err := push("a", "", 20, 1); !over(err) {
			t.Errorf("a minute later: %v", err)
		}
		time.Sleep(windowOf)
		if err := push("a", "", 20, 20); err != nil {
			t.Errorf("two minutes later: %v", err)
		}
		if err := push("b", "file", 40, 15); err != nil {
			t.Error(err)
		}
		time.Sleep(runFor - time.Nanosecond)
		if err := push("b", "file", 55, 10); !over(err) {
			t.Errorf("the next piece within a day: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := push("b", "file", 55, 10); err != nil {
			t.Errorf("a day later: %v", err)
		}
	})
}
