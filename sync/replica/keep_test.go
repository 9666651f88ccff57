package replica

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/issuer"
)

func TestFollowsFromTheLogsStart(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t)
	v := e.agrees(f)
	if !strings.Contains(v.Beat.String(), "m=") {
		t.Errorf("an age by the wall clock: %s", v.Beat)
	}
	f.keep(t, f.batch("x", red))
	v = e.await("at the next batch", "demo-a", func(v published) bool { return v.Offset == f.at.Offset })
	if got, _ := v.Table.Lookup(f.key("x")); got != red {
		t.Errorf("x is %v", got)
	}
	if r := e.Report(); len(r) != 1 || r[0].Offset != f.at.Offset || r[0].Subjects != 1 || r[0].Digest != f.table.Digest() || r[0].Why != "" {
		t.Errorf("report %+v", r)
	}
}

// An edge whose log has forgotten the beginning takes the origin's snapshot; its next start takes the table that it kept, and asks for
// nothing.
func TestStartsFromASnapshotAndThenFromItsOwn(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	f.push(t, "y", green)
	file := f.snapshot(t)
	f.push(t, "x", red)
	f.trim(file.Began.Offset)
	e := f.edge(t, func(c *Config) { c.SnapshotEvery = time.Millisecond })
	e.agrees(f)
	e.until("kept", func() bool { return e.report("demo-a").KeptOffset == f.at.Offset })
	f.push(t, "y", red)
	f.mu.Lock()
	f.offer, f.asked = nil, 0
	f.mu.Unlock()
	e.restart()
	e.agrees(f)
	if f.asked != 0 {
		t.Errorf("the origin was asked for a snapshot %d times", f.asked)
	}
	// What was kept is torn: the signed snapshot is still there, and the log holds what follows.
	e.stop()
	own := filepath.Join(e.cfg.Dir, "snapshots", "demo-a", "own.table")
	flipBit(t, own, 200)
	e.restart()
	e.agrees(f)
	if f.asked != 0 || !strings.Contains(e.said.String(), "the kept table is of no use") {
		t.Errorf("the origin was asked for a snapshot %d times", f.asked)
	}
}

func flipBit(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A replica that was away for longer than the log remembers fetches a newer snapshot by itself; what it showed before stays shown and
// grows older meanwhile.
func TestAHoleNeedsANewerSnapshot(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t)
	before := e.agrees(f)
	f.away(func() {
		f.push(t, "x", red)
		f.trim(f.at.Offset)
		f.push(t, "y", red)
	})
	e.until("asking for a snapshot", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.asked > 1 })
	v, _ := e.last("demo-a")
	if v.Table != before.Table || v.Offset != before.Offset || v.Beat != before.Beat {
		t.Errorf("without a snapshot it shows %+v, not %+v", v, before)
	}
	f.snapshot(t)
	if v := e.agrees(f); v.Table == before.Table {
		t.Error("the same table")
	}
	if n := e.metric(`scanedge_rebuilds_total{issuer="demo-a",why="hole"}`); n != "1" {
		t.Errorf("%s rebuilds", n)
	}
}

// What a replica held is of no use when its log was made anew: it takes what there is now, also if that is older.
func TestALogMadeAnew(t *testing.T) {
	for _, name := range []string{"shorter", "longer"} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			for range 5 {
				f.push(t, "x", green)
			}
			e := f.edge(t, func(c *Config) { c.SnapshotEvery = time.Millisecond })
			e.agrees(f)
			e.until("kept", func() bool { return e.report("demo-a").KeptOffset == f.at.Offset })
			f.away(func() {
				f.chain = &chain{secret: f.secret, epoch: 7, table: new(cache.Table)}
				f.newLog()
				f.keep(t, f.reign())
				f.push(t, "x", red)
				for name == "longer" && f.at.Offset < 30 {
					f.push(t, "x", red)
				}
			})
			e.agrees(f)
		})
	}
}

// A beat that disagrees, and memory that changed by itself: the table is suspect at once, and another one is made.
func TestHealsWhatIsWrong(t *testing.T) {
	for why, harm := range map[string]func(*cache.Table){
		"diverged": func(table *cache.Table) { table.Put(cache.Key{Hi: 9}, red) },
		"scrub": func(table *cache.Table) {
			for _, words := range table.Memory() {
				for i, w := range words {
					if i%8 > 2 && w != 0 { // a tag
						words[i] ^= 1 << 40
						return
					}
				}
			}
		},
	} {
		t.Run(why, func(t *testing.T) {
			f := newFleet(t)
			f.push(t, "x", green)
			e := f.edge(t, func(c *Config) { c.ScrubEvery = 200 * time.Millisecond })
			v := e.agrees(f)
			e.until("scrubbed", func() bool { return !e.report("demo-a").Scrubbed.IsZero() })
			harm(v.Table)
			if why == "diverged" {
				f.keep(t, f.beat())
			}
			suspect := e.await("suspect", "demo-a", func(now published) bool { return now.Suspect })
			if suspect.Table != v.Table || e.report("demo-a").Why == "" {
				t.Errorf("it shows %+v, for %q", suspect, e.report("demo-a").Why)
			}
			if healed := e.agrees(f); healed.Table == v.Table {
				t.Error("the same table")
			}
			if n := e.metric(fmt.Sprintf(`scanedge_rebuilds_total{issuer="demo-a",why=%q}`, why)); n != "1" {
				t.Errorf("%s rebuilds", n)
			}
			if !strings.Contains(e.said.String(), "shard") {
				t.Error("it does not say which shards")
			}
		})
	}
}

// A record that the issuer did not sign stops a replica where it stands, and costs it nothing when it is gone.
func TestAForgedRecordStopsAReplica(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", red)
	e := f.edge(t)
	before := e.agrees(f)
	forged := f.forged(t)
	f.stray(t, forged.batch("x", green))
	e.until("refused", func() bool { return e.metric(`scanedge_refused_records_total{issuer="demo-a",why="signature"}`) != "" })
	v, _ := e.last("demo-a")
	if got, _ := v.Table.Lookup(f.key("x")); got != red || v.Table != before.Table || v.Suspect || v.Offset != before.Offset {
		t.Errorf("x is %v in %+v", got, v)
	}
	if why := e.report("demo-a").Why; !strings.Contains(why, "signature") {
		t.Errorf("why: %q", why)
	}
	// A new edge does not take it either.
	other := f.edge(t)
	other.until("refused", func() bool {
		return other.metric(`scanedge_refused_records_total{issuer="demo-a",why="signature"}`) != ""
	})
	if v, any := other.last("demo-a"); any {
		t.Errorf("published %+v", v)
	}
	// The log is mended: made anew up to there, the same records in the same places.
	f.mended(t)
	if v := e.agrees(f); v.Table != before.Table {
		t.Error("a good table was thrown away")
	}
	other.agrees(f)
}

// A record that makes the program panic stops its issuer alone, and is there to be looked at.
func TestARecordThatPanics(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	other := f.second(t, "demo-b")
	broken := make(chan struct{}, 1)
	e := f.edge(t, func(c *Config) {
		publish := c.Publish
		c.Publish = func(pub issuer.Public, v View) { // by the goroutine that applies
			publish(pub, v)
			if pub.ID != "demo-a" {
				return
			}
			select {
			case <-broken:
				breakTable(v.Table)
			default:
			}
		}
	})
	before := e.agrees(f)
	e.agrees(other)
	broken <- struct{}{}
	f.keep(t, f.beat())
	bad := f.batch("x", red)
	f.keep(t, bad)
	e.until("set aside", func() bool { return e.metric(`scanedge_set_aside_total{issuer="demo-a"}`) == "1" })
	path := filepath.Join(e.cfg.Dir, "set-aside", fmt.Sprintf("demo-a-%d.record", bad.Seq))
	if b, err := os.ReadFile(path); err != nil || string(b) != string(bad.Record) {
		t.Errorf("set aside: %d bytes, %v", len(b), err)
	}
	if v, _ := e.last("demo-a"); v.Table == before.Table && !v.Suspect {
		t.Errorf("it vouches for a broken table: %+v", v)
	}
	e.agrees(other)
	if v := e.agrees(f); v.Table == before.Table { // the record was not to blame
		t.Error("the same table")
	}
}

// breakTable makes the next put panic: its arrays claim to be larger than they are.
func breakTable(table *cache.Table) {
	for _, array := range (*[cache.Shards]unsafe.Pointer)(unsafe.Pointer(table)) {
		if array != nil {
			*(*uint64)(unsafe.Add(array, unsafe.Sizeof([]byte(nil)))) = 1 << 40
		}
	}
}

// What is new at the origin is taken over, and what is not is not disturbed.
func TestWhatIsNewIsTakenOver(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	e := f.edge(t)
	before := e.agrees(f)
	other := f.second(t, "demo-b")
	other.push(t, "y", red)
	e.agrees(other)
	f.says(func(c *access.Control) { c.Issuers[0].MaxStaleSeconds = 7 })
	e.await("at the new max_stale", "demo-a", func(v published) bool { return v.pub.MaxStaleSeconds == 7 })
	if v := e.agrees(f); v.Table != before.Table {
		t.Error("another table")
	}
	// Other keys are another issuer by the same name: nothing of the old one is of use.
	f.away(func() {
		f.newLog()
		f.chain = newChainOf(t, "demo-a")
		f.keep(t, f.reign())
		f.push(t, "x", red)
		f.says(func(c *access.Control) { c.Issuers = []issuer.Public{f.secret.Public()} })
	})
	e.until("suspect", func() bool { return e.suspected("demo-a") })
	e.await("of the new seed", "demo-a", func(v published) bool {
		f.keep(t, f.beat())
		return v.pub.Seed == f.secret.Seed
	})
	e.agrees(f)
}

// An edge that has no memory for two tables reads the new one in the place of the old, which is suspect meanwhile.
func TestReplacedInPlace(t *testing.T) {
	for _, limit := range []int64{0, 1} {
		f := newFleet(t)
		f.push(t, "x", green)
		e := f.edge(t, func(c *Config) { c.MemoryLimit = limit })
		before := e.agrees(f)
		f.away(func() {
			f.push(t, "x", red)
			f.snapshot(t)
			f.push(t, "y", red)
			f.trim(f.at.Offset)
			f.push(t, "z", red)
		})
		e.until("asking for a snapshot", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.asked > 1 })
		f.snapshot(t)
		v := e.agrees(f)
		if inPlace := v.Table == before.Table; inPlace != (limit > 0) {
			t.Errorf("limit %d: in place: %v", limit, inPlace)
		}
		if limit > 0 && !e.suspected("demo-a") {
			t.Error("not suspect meanwhile")
		}
	}
}

// Edges feed each other: one that starts finds another by the origin, which serves nothing itself.
func TestPeers(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	file := f.snapshot(t)
	f.trim(f.at.Offset)
	f.push(t, "y", red)
	var first *edge
	peers := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { first.Peers().ServeHTTP(rw, req) }))
	defer peers.Close()
	first = f.edge(t, func(c *Config) { c.PeerURL = peers.URL })
	first.agrees(f)
	first.until("announced", func() bool {
		all := f.reported()
		last := all[len(all)-1].Offers
		return last != nil && last.URL == peers.URL && maps.Equal(last.Snapshots, map[string]string{"demo-a": file.ID})
	})
	f.mu.Lock()
	f.offer.Sources = []string{peers.URL}
	f.mu.Unlock()
	f.edge(t).agrees(f)
	if n, _ := first.peers.Served(); n == 0 {
		t.Error("it was not asked")
	}
}

// A log that is silent is asked for anew, by itself.
func TestASilentIssuerDoesNotDisturbOthers(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	other := f.second(t, "demo-b")
	e := f.edge(t)
	e.agrees(f)
	e.agrees(other)
	e.mu.Lock()
	clear(e.views)
	e.mu.Unlock()
	e.until("silent", func() bool { // demo-b says nothing, demo-a all that it should
		f.keep(t, f.beat())
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(e.said.String(), "fallen silent")
	})
	e.agrees(other)
	e.agrees(f)
	if strings.Contains(e.said.String(), "waiting for the origin") {
		t.Error("the origin was given up")
	}
}

func TestWaitsForTheOriginAndForAnIssuer(t *testing.T) {
	f := newFleet(t)
	f.push(t, "x", green)
	f.says(func(c *access.Control) { c.Issuers = nil })
	e := f.edge(t, func(c *Config) { c.Issuers = []string{"demo-a"} })
	e.until("reported", func() bool { return len(e.Report()) == 1 && strings.Contains(e.report("demo-a").Why, "not named") })
	f.says(func(c *access.Control) { c.Issuers = []issuer.Public{f.secret.Public()} })
	e.agrees(f)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	nowhere := f.edge(t, func(c *Config) { c.Origin = gone.URL })
	nowhere.until("waiting", func() bool { return strings.Contains(nowhere.said.String(), "waiting for the origin") })
	if v, any := nowhere.last("demo-a"); any {
		t.Errorf("published %+v", v)
	}
}
