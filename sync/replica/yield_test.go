package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge/sync/access"
)

// A folder that is yielded has the newest table in it, and nothing is written there before it is taken back, whatever happens; the log is
// followed on all the while.
func TestYield(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t)
	e.agrees(f)
	e.Yield(t.Context())
	other := f.edge(t, func(c *Config) { c.Dir = e.cfg.Dir; c.Silent = true })
	v := other.agrees(f)
	if got := other.report("demo-a").At; got != f.at.Offset || v.Table.Len() != 1 {
		t.Errorf("the other process is at %d, not %d", got, f.at.Offset)
	}
	other.until("begun with the kept table", func() bool { return contains(other, "the kept table") })
	other.stop()

	before := folderOf(t, e.cfg.Dir)
	f.push(t, "x", red)
	e.agrees(f)
	e.replicas["demo-a"].keepOnce(t.Context())
	e.replicas["demo-a"].drop("the kept table", e.replicas["demo-a"].store.DropOwn)
	if _, err := e.replicas["demo-a"].fromOffer(t.Context()); !errors.Is(err, errYielded) {
		t.Errorf("a fetch in a folder that is another's: %v", err)
	}
	second := f.second(t, "later")
	f.push(t, "x", green)
	second.push(t, "y", green)
	e.until("told that there is another issuer", func() bool { return contains(e, "this issuer can't be held") })
	if after := folderOf(t, e.cfg.Dir); !slices.Equal(before, after) {
		t.Errorf("the folder was %v, and is %v", before, after)
	}
	e.Resume()
	e.agrees(f)
	e.agrees(second)
	e.Yield(t.Context())
	if after := folderOf(t, e.cfg.Dir); slices.Equal(before, after) {
		t.Error("nothing was kept of what came since")
	}
}

func contains(e *edge, words string) bool { return strings.Contains(e.said.String(), words) }

// folderOf lists the files of a folder with what is known of each.
func folderOf(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files = append(files, path+" "+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// To yield ends what is written, and waits for that.
func TestYieldWaitsForWhoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f folder
		ctx, done, err := f.use(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, doneToo, err := f.use(ctx) // as one who writes within
		if err != nil {
			t.Fatal(err)
		}
		left := make(chan struct{})
		go func() { f.leave(); close(left) }()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), errYielded) {
			t.Error(context.Cause(ctx))
		}
		if _, _, err := f.use(t.Context()); !errors.Is(err, errYielded) {
			t.Errorf("used while it is yielded: %v", err)
		}
		doneToo()
		synctest.Wait()
		select {
		case <-left:
			t.Fatal("it did not wait")
		default:
		}
		done()
		<-left
		f.take()
		if _, done, err := f.use(t.Context()); err != nil {
			t.Error(err)
		} else {
			done()
		}
	})
}

// A keeper that is to be silent says nothing before it is to say who stands beside it, and then that; whoever asked knows when it was heard.
func TestVoice(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t, func(c *Config) { c.Silent, c.Incarnation = true, "new" })
	e.agrees(f)
	if said := f.reported(); len(said) > 0 {
		t.Fatalf("it said %+v", said)
	}
	since := time.UnixMicro(time.Now().UnixMicro() + 5)
	e.InCharge(since)
	<-e.Beside("old", true)
	if r := f.reported()[0]; r.Incarnation != "new" || r.Since != since.UnixMicro() || !r.Names("old") || r.Names("new") {
		t.Errorf("it said %+v", r)
	}
	<-e.Beside("next", true)
	<-e.Beside("old", false)
	said := f.reported()
	if r := said[len(said)-1]; r.Names("old") || !r.Names("next") || !e.Since().Equal(since) {
		t.Errorf("it says %+v", r)
	}
	loud := f.edge(t)
	loud.until("heard of without being asked to", func() bool {
		return slices.ContainsFunc(f.reported()[len(said):], func(r access.Report) bool { return r.Incarnation != "new" && r.Incarnation != "" })
	})
}

// A report that was on its way when something new was to be told does not tell it.
func TestAReportOfBeforeTellsNothingNew(t *testing.T) {
	k := &Keeper{voice: newVoice("new", false), news: make(chan struct{}, 1)}
	var r access.Report
	k.voice.in(&r)
	taken := k.Beside("old", true)
	k.voice.heard()
	select {
	case <-taken:
		t.Fatal("it was taken before it was told")
	default:
	}
	k.voice.in(&r)
	k.voice.heard()
	<-taken
	if !r.Names("old") {
		t.Errorf("%+v", r)
	}
}
