package snapshot

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
)

// original is a snapshot to be fetched, its table and its bytes.
func original(t testing.TB, n, at int) (File, *cache.Table, []byte) {
	tbl := table(n, at)
	f := write(t, open(t, t.TempDir()), tbl, "state")
	return f, tbl, readFile(t, f.Table)
}

func fetchFrom(t testing.TB, s *Store, f File, client *http.Client, sources ...string) File {
	t.Helper()
	got, err := s.Fetch(t.Context(), offerOf(f, sources...), 0, client, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, got.Table), readFile(t, f.Table)) || len(s.List()) != 1 || s.List()[0].ID != f.ID {
		t.Fatal("what was fetched is not what was offered")
	}
	return got
}

func TestFetch(t *testing.T) {
	f, want, _ := original(t, 10_000, 3)
	to := open(t, t.TempDir())
	server := NewServer(1)
	server.Offer(f)
	client, _ := newCounter(t)
	url := source(t, server)
	load(t, to, fetchFrom(t, to, f, client, url), want)
	fetchFrom(t, to, f, client, url)
	if n, bytes := server.Served(); n != 1 || bytes != f.Size() {
		t.Errorf("%d transfers of %d bytes", n, bytes)
	}
	if all := files(t, to.dir); len(all) != 2 {
		t.Errorf("%v", all)
	}
}

// Whatever a source does, the snapshot comes from the one that is good, and no more than a part of it twice.
func TestBadSources(t *testing.T) {
	defer func(d time.Duration) { chunkWithin = d }(chunkWithin)
	chunkWithin = 100 * time.Millisecond
	f, want, data := original(t, 10_000, 3)
	size := len(data)
	largest := slices.MaxFunc(f.Parts.Parts, func(a, b issuer.Part) int { return int(a.Size - b.Size) }).Size
	type answer = func(m *mirror, rw http.ResponseWriter, req *http.Request, from int)
	status := func(code int) answer {
		return func(_ *mirror, rw http.ResponseWriter, _ *http.Request, _ int) { rw.WriteHeader(code) }
	}
	wrongAt := func(place int) answer {
		return func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.give(rw, from, m.spoiled(from, max(place, from)))
		}
	}
	for name, bad := range map[string]answer{
		"busy": status(503), "gone": status(404), "failing": status(500), "not letting in": status(401),
		"wrong at once": wrongAt(0), "wrong later": wrongAt(size / 2), "wrong at the end": wrongAt(size - 1),
		"the whole file": func(m *mirror, rw http.ResponseWriter, _ *http.Request, _ int) { _, _ = rw.Write(m.data) },
		"another range": func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.give(rw, from+1, m.data[from+1:])
		},
		"a larger file": func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.head(rw, from, size+1)
			_, _ = rw.Write(append(m.data[from:size:size], 0))
		},
		"more than it said": func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.give(rw, from, append(m.data[from:size:size], make([]byte, 1<<20)...))
		},
		"a smaller file": func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.head(rw, from, size-1)
			_, _ = rw.Write(m.data[from : size-1])
		},
		"fewer than it said": func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.give(rw, from, m.data[from:min(from+5000, size)])
		},
		"nothing":       func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) { m.give(rw, from, nil) },
		"hanging":       func(_ *mirror, _ http.ResponseWriter, req *http.Request, _ int) { <-req.Context().Done() },
		"hanging later": hangAfter(size / 3),
		"trickling": func(m *mirror, rw http.ResponseWriter, req *http.Request, from int) {
			for m.head(rw, from, size); req.Context().Err() == nil && from < size; from++ {
				_, _ = rw.Write(m.data[from : from+1])
				_ = http.NewResponseController(rw).Flush()
				time.Sleep(time.Millisecond)
			}
		},
		"resetting": func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
			m.cut(rw, from, m.data[from:min(from+5000, size)])
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, good := newMirror(t, data, bad), newMirror(t, data, nil)
			client, read := newCounter(t)
			to := open(t, t.TempDir())
			load(t, to, fetchFrom(t, to, f, client, "::", "http://127.0.0.1:1", b.url, good.url), want)
			if b.asked.Load() == 0 {
				t.Error("the bad source was not asked")
			}
			most := int64(size) + 2*largest
			if slices.Contains([]string{"the whole file", "another range", "a larger file", "a smaller file"}, name) {
				most = int64(size) // its answer says already that it is of no use
			}
			if n := read.read.Load(); n > most {
				t.Errorf("%d bytes were fetched of %d", n, size)
			}
		})
	}
}

func hangAfter(n int) func(m *mirror, rw http.ResponseWriter, req *http.Request, from int) {
	return func(m *mirror, rw http.ResponseWriter, req *http.Request, from int) {
		m.give(rw, from, m.data[from:min(from+n, len(m.data))])
		_ = http.NewResponseController(rw).Flush()
		<-req.Context().Done()
	}
}

// What counts is that each chunk comes in time, not the file.
func TestASlowSourceIsNotCutOff(t *testing.T) {
	defer func(d time.Duration) { chunkWithin = d }(chunkWithin)
	chunkWithin = 2 * time.Second
	f, _, data := original(t, 1000, 3)
	slow := newMirror(t, data, func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
		m.head(rw, from, len(m.data))
		for step := 1 + len(m.data)/60; from < len(m.data); from += step {
			_, _ = rw.Write(m.data[from:min(from+step, len(m.data))])
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	})
	client, _ := newCounter(t)
	fetchFrom(t, open(t, t.TempDir()), f, client, slow.url)
	if n := slow.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// A liar's bytes must not be laid at the door of the one who ends the part that the liar began.
func TestALiarDoesNotSpoilAnothersPart(t *testing.T) {
	defer func(d time.Duration) { leaveAlone = d }(leaveAlone)
	leaveAlone = time.Hour
	f, _, data := original(t, 10_000, 3)
	liar := newMirror(t, data, func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
		m.cut(rw, from, m.spoiled(from, from)[:min(100, len(m.data)-from)])
	})
	good := newMirror(t, data, nil)
	client, _ := newCounter(t)
	fetchFrom(t, open(t, t.TempDir()), f, client, liar.url, good.url)
	if liar.asked.Load() != 1 || good.asked.Load() > 2 {
		t.Errorf("the liar was asked %d times, the good one %d times", liar.asked.Load(), good.asked.Load())
	}
}

// A source that gave wrong bytes is left alone though nobody else is there, and forgiven later.
func TestWrongSourcesAreLeftAlone(t *testing.T) {
	f, _, data := original(t, 1000, 3)
	lies := 3
	var told []time.Time
	m := newMirror(t, data, func(m *mirror, rw http.ResponseWriter, _ *http.Request, from int) {
		told = append(told, time.Now())
		if len(told) <= lies {
			m.give(rw, from, m.spoiled(from, from))
			return
		}
		m.give(rw, from, m.data[from:])
	})
	client, _ := newCounter(t)
	fetchFrom(t, open(t, t.TempDir()), f, client, m.url)
	for i := 1; i < len(told); i++ {
		if d := told[i].Sub(told[i-1]); d < leaveAlone {
			t.Errorf("asked again after %v", d)
		}
	}
	if len(told) != lies+1 {
		t.Errorf("asked %d times", len(told))
	}
}

// What came is fetched once, though the process ends, as often as it likes.
func TestAFetchGoesOnAfterARestart(t *testing.T) {
	f, want, data := original(t, 20_000, 3)
	dir := t.TempDir()
	const bites = 7
	m := newMirror(t, data, hangAfter(len(data)/bites))
	client, read := newCounter(t)
	for range bites {
		ctx, cancel := context.WithCancel(t.Context())
		s := open(t, dir)
		before := read.read.Load()
		go func() {
			for read.read.Load()-before < int64(len(data)/bites) {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if _, err := s.Fetch(ctx, offerOf(f, m.url), 0, client, quiet); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if len(s.List()) != 0 {
			t.Fatal("a part of a snapshot is listed")
		}
	}
	s := open(t, dir)
	load(t, s, fetchFrom(t, s, f, client, newMirror(t, data, nil).url), want)
	// A bite's last bytes may have been read when the cut came and not been a chunk yet.
	if n, most := read.read.Load(), int64(len(data)+bites*chunk); n > most {
		t.Errorf("%d bytes were fetched of %d", n, len(data))
	}
}

// Whatever became of a download while the process was away, what is right of it is kept and all else is fetched again.
func TestADamagedDownloadIsMended(t *testing.T) {
	defer func(d time.Duration) { leaveAlone = d }(leaveAlone)
	leaveAlone = time.Hour // of what was there already the source is not guilty
	f, _, data := original(t, 10_000, 3)
	var ends []int
	for at, i := 0, 0; i < len(f.Parts.Parts); i++ {
		at += int(f.Parts.Parts[i].Size)
		ends = append(ends, at)
	}
	good := newMirror(t, data, nil)
	for name, c := range map[string]struct {
		left []byte
		most int // bytes that may be fetched, and the rest of a chunk
	}{
		"nothing":              {nil, len(data)},
		"garbage":              {bytes.Repeat([]byte("x"), len(data)), len(data)},
		"two parts and a half": {data[:ends[2]-10], len(data) - ends[2] + 10},
		"half of it is wrong":  {append(bytes.Clone(data[:ends[1]]), make([]byte, 50)...), len(data) - ends[1] + int(f.Parts.Parts[2].Size)},
		"a wrong part":         {append(bytes.Clone(data[:ends[1]]), make([]byte, len(data)-ends[1])...), len(data) - ends[1]},
		"all of it":            {data, 0},
		"more than all":        {append(bytes.Clone(data), "more"...), 0},
	} {
		client, read := newCounter(t)
		s := open(t, t.TempDir())
		writeFile(t, s.path(f.ID+partExt), c.left)
		writeFile(t, s.path("00112233445566778899aabbccddeeff"+partExt), c.left)
		fetchFrom(t, s, f, client, good.url)
		if n := int(read.read.Load()); n > c.most+chunk {
			t.Errorf("%s: %d bytes were fetched, at most %d are missing", name, n, c.most)
		}
		if all := files(t, s.dir); len(all) != 2 {
			t.Errorf("%s: left %v", name, all)
		}
	}
}

func TestAFullDiskEndsAFetch(t *testing.T) {
	f, want, data := original(t, 600_000, 3)
	good := newMirror(t, data, nil)
	client, read := newCounter(t)
	s := open(t, t.TempDir())
	t.Run("full", func(t *testing.T) {
		limitFiles(t, 6<<20) // of 8 MB
		_, err := s.Fetch(t.Context(), offerOf(f, good.url), 0, client, quiet)
		if err == nil || !strings.Contains(err.Error(), "make room") || len(s.List()) != 0 {
			t.Errorf("%v", err)
		}
	})
	load(t, s, fetchFrom(t, s, f, client, good.url), want)
	if n := read.read.Load(); n > int64(len(data)+chunk) {
		t.Errorf("%d bytes were fetched of %d", n, len(data))
	}
}

func TestOffersThatAreRefused(t *testing.T) {
	f, _, data := original(t, 100, 30)
	good := newMirror(t, data, nil)
	forged := bytes.Clone(f.Manifest)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		offer Offer
		err   error
		floor uint64
		want  error
	}{
		"none":         {err: errNoOffer, want: errNoOffer},
		"forged":       {offer: Offer{Manifest: forged, Sources: []string{good.url}}, want: issuer.ErrSignature},
		"an older one": {offer: Offer{Manifest: f.Manifest, Sources: []string{good.url}}, floor: 31, want: ErrOlder},
	} {
		s := open(t, t.TempDir())
		_, err := s.Fetch(t.Context(), func(context.Context) (Offer, error) { return c.offer, c.err }, c.floor, http.DefaultClient, quiet)
		if !errors.Is(err, c.want) || len(files(t, s.dir)) != 0 {
			t.Errorf("%s: %v, left %v", name, err, files(t, s.dir))
		}
	}
	if good.asked.Load() != 0 {
		t.Error("it was fetched")
	}
	client, _ := newCounter(t)
	s := open(t, t.TempDir())
	if _, err := s.Fetch(t.Context(), offerOf(f, good.url), 30, client, quiet); err != nil {
		t.Errorf("from the floor itself: %v", err)
	}
}

// The sources are asked for again and again; an offer that can't be had or is not to be believed then changes nothing.
func TestSourcesMayCome(t *testing.T) {
	f, _, data := original(t, 100, 30)
	good := newMirror(t, data, nil)
	asked := 0
	offers := []func() (Offer, error){
		func() (Offer, error) { return Offer{Manifest: f.Manifest, Sources: nil}, nil },
		func() (Offer, error) { return Offer{}, errNoOffer },
		func() (Offer, error) {
			return Offer{Manifest: f.Manifest[1:], Sources: []string{"http://127.0.0.1:1"}}, nil
		},
		func() (Offer, error) {
			return Offer{Manifest: f.Manifest, Sources: []string{"http://127.0.0.1:1"}}, nil
		},
		func() (Offer, error) { return Offer{Manifest: f.Manifest, Sources: []string{good.url}}, nil },
	}
	client, _ := newCounter(t)
	s := open(t, t.TempDir())
	_, err := s.Fetch(t.Context(), func(context.Context) (Offer, error) {
		asked++
		return offers[asked-1]()
	}, 0, client, quiet)
	if err != nil || asked != len(offers) {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// A newer snapshot does not end the download of the one that was begun, as long as somebody has that; when nobody has, it does.
func TestANewerOffer(t *testing.T) {
	older, olderTable, olderData := original(t, 10_000, 3)
	newer, newerTable, newerData := original(t, 10_000, 4)
	for name, c := range map[string]struct {
		then int // what the source of the older says once the newer is on offer
		want File
		tbl  *cache.Table
	}{"it is there": {0, older, olderTable}, "it is busy": {503, older, olderTable}, "it is gone": {404, newer, newerTable}} {
		t.Run(name, func(t *testing.T) {
			fresh, asked, busy := false, 0, 0
			m := newMirror(t, olderData, func(m *mirror, rw http.ResponseWriter, req *http.Request, from int) {
				switch {
				case strings.HasSuffix(req.URL.Path, newer.ID):
					(&mirror{data: newerData}).give(rw, from, newerData[from:])
				case !fresh:
					m.cut(rw, from, m.data[from:min(from+10, len(m.data))])
				case c.then == 503 && busy == 3, c.then == 0:
					m.give(rw, from, m.data[from:])
				default:
					busy++
					rw.WriteHeader(c.then)
				}
			})
			client, _ := newCounter(t)
			s := open(t, t.TempDir())
			got, err := s.Fetch(t.Context(), func(context.Context) (Offer, error) {
				if asked++; asked == 1 {
					return Offer{Manifest: older.Manifest, Sources: []string{m.url}}, nil
				}
				fresh = true
				return Offer{Manifest: newer.Manifest, Sources: []string{m.url}}, nil
			}, 0, client, quiet)
			if err != nil || got.ID != c.want.ID {
				t.Fatalf("%s, %v", got.ID, err)
			}
			load(t, s, got, c.tbl)
			if all := files(t, s.dir); len(all) != 2 {
				t.Errorf("left %v", all)
			}
		})
	}
}

// Peers that came to have the older snapshot after its download was begun are found, though a newer one is on offer.
func TestPeersOfTheOneBefore(t *testing.T) {
	older, _, olderData := original(t, 10_000, 3)
	newer, _, _ := original(t, 10_000, 4)
	busy := func(_ *mirror, rw http.ResponseWriter, _ *http.Request, _ int) { rw.WriteHeader(503) }
	origin, peer := newMirror(t, olderData, busy), newMirror(t, olderData, nil)
	asked := 0
	client, _ := newCounter(t)
	got, err := open(t, t.TempDir()).Fetch(t.Context(), func(context.Context) (Offer, error) {
		if asked++; asked == 1 {
			return Offer{Manifest: older.Manifest, Sources: []string{origin.url}}, nil
		}
		return Offer{Manifest: newer.Manifest, Sources: []string{origin.url}, Before: &Before{older.ID, []string{peer.url}}}, nil
	}, 0, client, quiet)
	if err != nil || got.ID != older.ID || peer.asked.Load() != 1 {
		t.Errorf("%s, %v; the peer was asked %d times", got.ID, err, peer.asked.Load())
	}
}

// While peers are busy the origin is spared, but not for ever.
func TestTheOriginIsSpared(t *testing.T) {
	f, _, data := original(t, 100, 3)
	peer := newMirror(t, data, func(m *mirror, rw http.ResponseWriter, _ *http.Request, _ int) { rw.WriteHeader(503) })
	origin := newMirror(t, data, nil)
	client, _ := newCounter(t)
	fetchFrom(t, open(t, t.TempDir()), f, client, peer.url, origin.url)
	if n := peer.asked.Load(); n != patience || origin.asked.Load() != 1 {
		t.Errorf("the peer was asked %d times, the origin %d times", n, origin.asked.Load())
	}
}

func TestTwoFetchesAtOnce(t *testing.T) {
	f, _, data := original(t, 100, 3)
	good := newMirror(t, data, nil)
	client, _ := newCounter(t)
	s := open(t, t.TempDir())
	_, err := s.Fetch(t.Context(), func(ctx context.Context) (Offer, error) {
		_, err := s.Fetch(ctx, offerOf(f, good.url), 0, client, quiet)
		return Offer{}, err
	}, 0, client, quiet)
	if err == nil || !strings.Contains(err.Error(), "another fetch") {
		t.Errorf("%v", err)
	}
}

// A part may be 100 MB: it is never in memory.
func TestAFetchTakesLittleMemory(t *testing.T) {
	defer func(n int) { chunk = n }(chunk)
	chunk = 256 << 10
	const size, parts = 32 << 20, 2
	path := t.TempDir() + "/zeros"
	writeFile(t, path, nil)
	if err := os.Truncate(path, size*parts); err != nil {
		t.Fatal(err)
	}
	snapshot := issuer.Snapshot{Issuer: "demo-a", Began: place(3), Time: time.UnixMilli(1), Parts: issuer.Parts{To: 3}}
	for range parts {
		snapshot.Parts.Parts = append(snapshot.Parts.Parts, issuer.Part{Size: size, SHA256: sumOfZeros(size)})
	}
	manifest, id := issuer.SignManifest(snapshot, secret)
	f := File{Snapshot: snapshot, ID: id, Manifest: manifest, Table: path}
	server := NewServer(1)
	server.Offer(f)
	client, read := newCounter(t)
	url, s := source(t, server), open(t, t.TempDir())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := s.Fetch(t.Context(), offerOf(f, url), 0, client, quiet); err != nil || read.read.Load() != size*parts {
		t.Fatalf("%d bytes, %v", read.read.Load(), err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes of memory were taken for %d", n, size*parts)
	}
}

// A source that sends its callers elsewhere: nobody goes there.
func TestASourceSendsNobodyElsewhere(t *testing.T) {
	f, want, _ := original(t, 1000, 3)
	server := NewServer(1)
	server.Offer(f)
	url := source(t, server)
	elsewhere := source(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { t.Errorf("asked for %s", req.URL) }))
	sly := source(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		http.Redirect(rw, req, elsewhere+"/internal/shutdown", http.StatusFound)
	}))
	client, _ := newCounter(t)
	to := open(t, t.TempDir())
	load(t, to, fetchFrom(t, to, f, client, sly, url), want)
}

// A source that gives little, each chunk in time or a first one and then nothing, does not keep a fetch from those that would give all.
func TestASourceThatTricklesIsLeftForTheNext(t *testing.T) {
	defer func(within, d time.Duration, least int64) { chunkWithin, turn, turnLeast = within, d, least }(chunkWithin, turn, turnLeast)
	chunkWithin, turn, turnLeast = 200*time.Millisecond, 100*time.Millisecond, 4<<10
	f, want, data := original(t, 10_000, 3)
	for name, bad := range map[string]func(m *mirror, rw http.ResponseWriter, req *http.Request, from int){
		"a chunk in time": func(m *mirror, rw http.ResponseWriter, req *http.Request, from int) {
			for m.head(rw, from, len(m.data)); req.Context().Err() == nil && from < len(m.data); from += chunk {
				_, _ = rw.Write(m.data[from:min(from+chunk, len(m.data))])
				_ = http.NewResponseController(rw).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		},
		"a chunk and then nothing": func(m *mirror, rw http.ResponseWriter, req *http.Request, from int) {
			m.head(rw, from, len(m.data))
			_, _ = rw.Write(m.data[from:min(from+chunk, len(m.data))])
			_ = http.NewResponseController(rw).Flush()
			<-req.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			slow, good := newMirror(t, data, bad), newMirror(t, data, nil)
			client, _ := newCounter(t)
			to := open(t, t.TempDir())
			load(t, to, fetchFrom(t, to, f, client, slow.url, good.url), want)
			if slow.asked.Load() > good.asked.Load() { // however slow this machine is, they take turns
				t.Errorf("the slow source was asked %d times, the good one %d", slow.asked.Load(), good.asked.Load())
			}
		})
	}
}
