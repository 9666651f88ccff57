package origin

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

// pipe is an answer that is read while it is written, and no sooner.
type pipe struct {
	*io.PipeWriter
	header http.Header
}

func (p pipe) Header() http.Header { return p.header }
func (p pipe) WriteHeader(int)     {}

// backupOf asks an origin for a backup: what is read of it decides how far it gets.
func backupOf(t *testing.T, o *Origin) io.ReadCloser {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/v1/backup", nil)
	req.RemoteAddr = "127.0.0.1:1"
	req.Header.Set("Authorization", "Bearer "+o.tokens.Admin)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer w.Close()
		defer func() { _ = recover() }() // an abort
		o.API().ServeHTTP(pipe{w, http.Header{}}, req)
	})
	t.Cleanup(func() { r.Close(); wg.Wait() })
	return r
}

func receive(t *testing.T, from io.Reader) (string, Received) {
	t.Helper()
	dir := t.TempDir()
	r, err := ReceiveBackup(from, dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// restoreTo restores a backup into a new folder.
func restoreTo(t *testing.T, backup string) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := Restore(t.Context(), backup, dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// holding is what must be the same on both sides of a backup.
type holding struct {
	digest cache.Digest
	count  int
	keys   string // their receipts
}

func heldBy(o *Origin, issuer string, keys ...string) holding {
	w := o.writers[issuer]
	h := holding{digest: w.table.Digest(), count: w.table.Len()}
	for _, key := range keys {
		k, ok := w.past.find(key)
		h.keys += fmt.Sprint(key, ok, k.receipt(), " ")
	}
	return h
}

// A restored origin is what the backed up one was, whatever lay in its snapshot and what in its log; what is given out then is above all
// that was given out before.
func TestABackupIsRestored(t *testing.T) {
	chunkOf = 1 << 10
	t.Cleanup(func() { chunkOf = 16 << 20 })
	var bulk strings.Builder
	bulk.WriteString("subject,status\n")
	for i := range 70_000 {
		fmt.Fprintf(&bulk, "bulk-%d,green\n", i)
	}
	snapshot := func(t *testing.T, o *Origin) { take(t, o) }
	push := func(n int) func(*testing.T, *Origin) {
		return func(t *testing.T, o *Origin) {
			for i := range n {
				pushOK(t, o, "demo-a", fmt.Sprintf("subject,status\nn%d,red\nshared,%s\n", i, []string{"red", "green"}[i%2]),
					"Idempotency-Key", fmt.Sprintf("k%d", i))
			}
		}
	}
	large := func(t *testing.T, o *Origin) { pushOK(t, o, "demo-a", bulk.String(), "Idempotency-Key", "large") }
	for name, steps := range map[string][]func(*testing.T, *Origin){
		"nothing":                   {},
		"no snapshot":               {push(30)},
		"a snapshot alone":          {push(30), snapshot},
		"a snapshot and records":    {push(3), snapshot, push(30), large},
		"a damaged newest snapshot": {push(30), snapshot, large, func(t *testing.T, o *Origin) { flip(t, take(t, o).Table) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, t.TempDir(), "demo-a", "demo-b")
			for _, step := range steps {
				step(t, o)
			}
			pushOK(t, o, "demo-b", "subject,status\nother,yellow\n")
			keys := []string{"k0", "k29", "large", "late"}
			want, tokens := heldBy(o, "demo-a", keys...), o.tokens
			from, r := receive(t, backupOf(t, o))
			if at := o.writers["demo-a"].offset.Load(); len(r.Issuers) != 2 || r.Issuers[0] != (IssuerBackup{"demo-a", at}) {
				t.Errorf("backed up to %+v, of %d", r.Issuers, at)
			}
			late := pushOK(t, o, "demo-a", "subject,status\nlate,void\n", "Idempotency-Key", "late")
			lost := o.writers["demo-a"].epoch
			o.Close()

			dir := restoreTo(t, from)
			for life := range 3 {
				o := open(t, dir, "demo-a", "demo-b")
				w := o.writers["demo-a"]
				if got := heldBy(o, "demo-a", keys...); life == 0 && got != want {
					t.Fatalf("%+v, want %+v", got, want)
				}
				if o.tokens != tokens || o.word("demo-b", "other") != "yellow" || o.word("demo-a", "late") != "none" {
					t.Errorf("life %d: other tokens, or %s, %s", life, o.word("demo-b", "other"), o.word("demo-a", "late"))
				}
				if w.epoch <= lost+10 || w.at.Offset < late.Offset+100 {
					t.Errorf("life %d begins at %s in epoch %d; the lost time came to %d and %d", life, w.at, w.epoch, late.Offset, lost)
				}
				if _, err := os.Stat(markPath(dir, "demo-a")); err == nil {
					t.Error("the mark is still there")
				}
				lost = max(lost, w.epoch-11)
				if r := pushOK(t, o, "demo-a", fmt.Sprintf("subject,status\nlife%d,red\n", life)); r.Offset <= w.at.Offset-1 {
					t.Errorf("life %d: %+v", life, r)
				}
				if life == 1 {
					take(t, o)
					take(t, o)
				}
				o.Close()
			}
			o = open(t, dir, "demo-a", "demo-b")
			for life := range 3 {
				if got := o.word("demo-a", fmt.Sprintf("life%d", life)); got != "red" {
					t.Errorf("life%d is %s", life, got)
				}
			}
			o.Close()
			again := open(t, restoreTo(t, from), "demo-a", "demo-b") // of the same backup, after the first was lost too
			if w := again.writers["demo-a"]; w.epoch <= lost || heldBy(again, "demo-a", keys...) != want {
				t.Errorf("restored again: %+v in epoch %d after %d", heldBy(again, "demo-a", keys...), w.epoch, lost)
			}
			again.Close()
		})
	}
}

// A log that is kept elsewhere and is still there is read on from the backup: nothing is lost. One that ends before it is refused.
func TestARestoredOriginBesideItsLog(t *testing.T) {
	dir, early := t.TempDir(), t.TempDir()
	o := open(t, dir, "demo-a")
	pushN(t, o, 0)
	o.Close()
	copyAll(t, dir, early)
	o = open(t, dir, "demo-a")
	pushN(t, o, 1)
	from, _ := receive(t, backupOf(t, o))
	pushN(t, o, 2)
	want := heldBy(o, "demo-a")
	o.Close()
	for range 2 { // the second time after a crash before its mark was dropped
		d := restoreTo(t, from)
		copyAll(t, dir+"/log", d+"/log")
		o = open(t, d, "demo-a")
		if got := heldBy(o, "demo-a"); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		o.Close()
	}
	d := restoreTo(t, from)
	copyAll(t, early+"/log", d+"/log")
	if o, err := openErr(d, "demo-a"); err == nil || !strings.Contains(err.Error(), "the log ends before") {
		if err == nil {
			o.Close()
		}
		t.Errorf("an older log: %v", err)
	}
}

// A log that is lost after the restored origin has begun to write is not taken for one that is to begin anew.
func TestARestoredLogMayNotBeLostAgain(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushN(t, o, 1)
	from, _ := receive(t, backupOf(t, o))
	o.Close()
	dir := restoreTo(t, from)
	o = open(t, dir, "demo-a")
	pushN(t, o, 2)
	o.Close()
	if err := os.RemoveAll(dir + "/log"); err != nil {
		t.Fatal(err)
	}
	if o, err := openErr(dir, "demo-a"); err == nil {
		o.Close()
		t.Error("an origin without its log starts")
	}
}

// While a backup is read slowly, pushes go on, snapshots are written, and what it needs is neither trimmed nor gone.
func TestSnapshotsBesideABackup(t *testing.T) {
	chunkOf = 1
	t.Cleanup(func() { chunkOf = 16 << 20 })
	for _, stop := range []string{"log/demo-a/", ".table"} {
		t.Run(stop, func(t *testing.T) {
			o := open(t, t.TempDir(), "demo-a")
			pushN(t, o, 0)
			take(t, o)
			for i := range 10 {
				pushN(t, o, i)
			}
			want := heldBy(o, "demo-a")
			var read bytes.Buffer
			stream := io.TeeReader(backupOf(t, o), &read)
			for entries := tar.NewReader(stream); ; {
				head, err := entries.Next()
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(head.Name, stop) {
					break
				}
			}
			for i := range 3 {
				pushN(t, o, 100+i)
				take(t, o)
			}
			from, _ := receive(t, io.MultiReader(&read, stream))
			for i := range 2 { // afterwards the log is trimmed again
				pushN(t, o, 200+i)
				take(t, o)
			}
			if first := firstOf(t, o); first < 15 {
				t.Errorf("the log still begins at %d", first)
			}
			o.Close()
			o = open(t, restoreTo(t, from), "demo-a")
			if got := heldBy(o, "demo-a"); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// Whatever is acknowledged before a backup is asked for is in it, also beside many pushers, and nothing is there in part.
func TestBackupsBesidePushes(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	const pushers = 8
	var mu sync.Mutex
	var acked [pushers]int
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for g := range pushers {
		wg.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				pushOK(t, o, "demo-a", fmt.Sprintf("subject,status,reason\np%d,red,%d\nq%d,red,%d\n", g, n%64, g, n%64),
					"Idempotency-Key", fmt.Sprintf("%d-%d", g, n))
				mu.Lock()
				acked[g] = n
				mu.Unlock()
			}
		})
	}
	for round := range 6 {
		if round%2 == 1 {
			take(t, o)
		}
		mu.Lock()
		owed := acked
		mu.Unlock()
		from, _ := receive(t, backupOf(t, o))
		r := open(t, restoreTo(t, from), "demo-a")
		w := r.writers["demo-a"]
		for g := range pushers {
			last := 0
			for n := 1; ; n++ {
				if _, ok := w.past.find(fmt.Sprintf("%d-%d", g, n)); !ok {
					break
				}
				last = n
			}
			p, _ := w.table.Lookup(w.secret.Seed.Key(fmt.Appendf(nil, "p%d", g)))
			q, _ := w.table.Lookup(w.secret.Seed.Key(fmt.Appendf(nil, "q%d", g)))
			if last < owed[g] || last > 0 && (p != q || int(p.Reason()) != last%64) {
				t.Errorf("round %d, pusher %d: %d pushes, %d were owed; reasons %d and %d", round, g, last, owed[g], p.Reason(), q.Reason())
			}
		}
		r.Close()
	}
	stop()
	wg.Wait()
}

// filesOf are the files below a folder.
func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func smallBackup(t *testing.T) []byte {
	t.Helper()
	o := open(t, t.TempDir(), "demo-a")
	pushN(t, o, 0)
	take(t, o)
	pushN(t, o, 1)
	stream, err := io.ReadAll(backupOf(t, o))
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	return stream
}

// Every byte of a backup that is flipped or cut off, and each file that is gone or too many, is found and named.
func TestEveryByteOfABackupCounts(t *testing.T) {
	dir, _ := receive(t, bytes.NewReader(smallBackup(t)))
	if _, err := VerifyBackup(dir); err != nil {
		t.Fatal(err)
	}
	refused := func(what, path string) {
		t.Helper()
		name := strings.TrimPrefix(path, dir+"/")
		if _, err := VerifyBackup(dir); err == nil || !strings.Contains(err.Error(), dir) || name != sumsFile && !strings.Contains(err.Error(), name) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for path, good := range filesOf(t, dir) {
		put := func(b []byte) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		stride := 1 + len(good)/100
		for i := 0; i < len(good); i += stride {
			for _, bit := range []byte{1, 0x20} { // the latter makes another case of a letter
				bad := bytes.Clone(good)
				bad[i] ^= bit
				put(bad)
				refused(fmt.Sprintf("%s with byte %d flipped", path, i), path)
			}
			put(good[:i])
			refused(fmt.Sprintf("%s cut to %d bytes", path, i), path)
		}
		put(append(bytes.Clone(good), '\n'))
		refused(path+" with a byte more", path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		refused("without "+path, path)
		put(good)
		if err := os.WriteFile(path+".more", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused("with a file more", path+".more")
		if err := os.Remove(path + ".more"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := VerifyBackup(dir); err != nil {
		t.Fatal(err)
	}
}

// Sums that fit do not make a backup of what its issuer did not sign, or of records that are not all there.
func TestABackupIsWhatItsIssuerSigned(t *testing.T) {
	chunkOf = 1
	t.Cleanup(func() { chunkOf = 16 << 20 })
	stream := smallBackup(t)
	for ext, damage := range map[string]func(string) error{
		".table":    func(p string) error { flip(t, p); return nil },
		".state":    func(p string) error { flip(t, p); return nil },
		".manifest": func(p string) error { flip(t, p); return nil },
		".records":  func(p string) error { flip(t, p); return nil },
		"records":   os.Remove, // the last of several files
	} {
		dir, _ := receive(t, bytes.NewReader(stream))
		var found string
		for path := range filesOf(t, dir) {
			if strings.HasSuffix(path, ext) && path > found {
				found = path
			}
		}
		if found == "" {
			t.Fatalf("no %s", ext)
		}
		if err := damage(found); err != nil {
			t.Fatal(err)
		}
		sums, err := sumsOf(dir)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, sumsFile), sumsText(sums), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBackup(dir); err == nil || !strings.Contains(err.Error(), "issuer demo-a") {
			t.Errorf("%s: %v", ext, err)
		}
		to := t.TempDir()
		if _, err := Restore(t.Context(), dir, to, time.Now()); err == nil || len(filesOf(t, to)) > 0 {
			t.Errorf("%s was restored: %v", ext, err)
		}
	}
}

// An answer that breaks off leaves nothing, and one that was changed on its way is the same backup or none.
func TestABackupThatBreaksOff(t *testing.T) {
	stream := smallBackup(t)
	whole, _ := receive(t, bytes.NewReader(stream))
	want := len(filesOf(t, whole))
	needed := bytes.LastIndexByte(stream, '\n') // what follows is the tar's end
	for i := 0; i < len(stream); i += 1 + len(stream)/120 {
		for name, bad := range map[string]io.Reader{
			"cut at":  bytes.NewReader(stream[:min(i, needed)]),
			"flip at": io.MultiReader(bytes.NewReader(stream[:i]), bytes.NewReader([]byte{stream[i] ^ 1}), bytes.NewReader(stream[i+1:])),
		} {
			dir := t.TempDir()
			_, err := ReceiveBackup(bad, dir)
			files := filesOf(t, dir)
			if err != nil && len(files) == 0 {
				continue
			}
			if name == "cut at" || err != nil || len(files) != want {
				t.Fatalf("%s %d: %d files, %v", name, i, len(files), err)
			}
			for path, b := range files {
				original, err := os.ReadFile(filepath.Join(whole, strings.TrimPrefix(path, dir)))
				if err != nil || !bytes.Equal(b, original) {
					t.Fatalf("%s %d: %s is another file", name, i, path)
				}
			}
		}
	}
}

// What an origin can't send it says, as long as it can.
func TestABackupOfADamagedOrigin(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushN(t, o, 0)
	flip(t, take(t, o).Table)
	dir := t.TempDir()
	if _, err := ReceiveBackup(backupOf(t, o), dir); err == nil || !strings.Contains(err.Error(), "is not what was signed") {
		t.Errorf("%v", err)
	}
}

// A tar of names that lead out of the folder, or of one file twice, writes nothing there.
func TestNoBackupWritesElsewhere(t *testing.T) {
	for _, names := range [][]string{{"../x"}, {"/tmp/x"}, {"a", "a"}, {"a/../../x"}} {
		var b bytes.Buffer
		out := &tarball{Writer: tar.NewWriter(&b), sums: map[string][]byte{}}
		for _, name := range names {
			if err := out.bytes(name, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := ReceiveBackup(&b, dir); err == nil || !strings.Contains(err.Error(), "no backup has") || len(filesOf(t, parent)) > 0 {
			t.Errorf("%v: %v", names, err)
		}
	}
}

// A backup holds every secret: who asks for it needs the admin token, and a way on which nobody listens.
func TestWhoGetsABackup(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	for _, c := range []struct {
		token, from string
		want        int
	}{
		{o.tokens.Push, "127.0.0.1:1", http.StatusUnauthorized},
		{o.tokens.Scanner, "127.0.0.1:1", http.StatusUnauthorized},
		{"", "127.0.0.1:1", http.StatusUnauthorized},
		{o.tokens.Admin, "192.0.2.1:1", http.StatusBadRequest},
		{o.tokens.Admin, "127.0.0.1:1", http.StatusOK},
	} {
		req := httptest.NewRequest(http.MethodGet, "/v1/backup", nil)
		req.RemoteAddr = c.from
		req.Header.Set("Authorization", "Bearer "+c.token)
		rec := httptest.NewRecorder()
		o.API().ServeHTTP(rec, req)
		if rec.Code != c.want {
			t.Errorf("%+v: %d", c, rec.Code)
		}
	}
}

// A clock that is behind the backup would give out again what was given out.
func TestARestoreNeedsTheClock(t *testing.T) {
	dir, r := receive(t, bytes.NewReader(smallBackup(t)))
	to := t.TempDir()
	if _, err := Restore(t.Context(), dir, to, r.Time.Add(-time.Second)); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, sumsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir, to, time.Now()); !errors.Is(err, ErrCut) {
		t.Error(err)
	}
}
